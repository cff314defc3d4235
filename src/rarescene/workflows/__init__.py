"""Floor 4: one file a command, read from top to bottom."""
