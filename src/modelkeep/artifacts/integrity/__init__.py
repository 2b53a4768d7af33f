"""Whether stored bytes are still what they were: damage noted, verified, and healed."""
