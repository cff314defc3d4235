"""The data sets: how each lies on disk, and one way to open any of them."""
