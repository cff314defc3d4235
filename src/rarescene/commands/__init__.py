"""One file a command, read from top to bottom."""
