"""One method of each family of rarescene."""
