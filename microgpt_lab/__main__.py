"""Run `python -m microgpt_lab`: the command that the first argument names, or a training."""

import sys

from microgpt_lab.commands import main

if __name__ == "__main__":
    sys.exit(main())
