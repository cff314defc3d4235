"""The options of a command: their parser, their help, and what was meant by one that is unknown."""
