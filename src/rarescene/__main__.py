"""`python -m rarescene` is `rarescene`."""

import sys

from rarescene.cli import main

if __name__ == "__main__":
    sys.exit(main())
