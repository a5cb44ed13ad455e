"""`python -m microgpt_lab`: train, or the command that the first word names."""

import sys

from microgpt_lab.commands import main

if __name__ == "__main__":
    sys.exit(main())
