"""Floor 0: errors, atomic files, seeds, run records and the protocols. Imports no torch."""
