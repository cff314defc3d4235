"""rarescene: make the surgical scenes that a data set lacks, and prove that they help."""

from importlib.metadata import version

__version__ = version("rarescene")
