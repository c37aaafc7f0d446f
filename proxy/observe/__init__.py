"""Takes in calls of models that never came through the proxy, as spans tell them. It must never count a call twice, or keep a text."""
