"""What replicas of one proxy tell each other beside calls: who fails, and by what configuration they run. It must never hold up a call."""
