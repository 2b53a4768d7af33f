"""What nothing names any more: found, put into the trash, and deleted without losing what is named again."""
