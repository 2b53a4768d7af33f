"""Trees of files that belong to no run: pushed, and then registered."""
