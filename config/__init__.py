"""What a person may edit: settings, the model catalogue, and factor tables with their sources. It imports nothing of ours."""
