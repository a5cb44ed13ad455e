"""Run `python -m microgpt_lab`: the command that the first argument names, or a training."""

import sys


def main() -> int:
    """Run a command, and return its exit status: 130 after Ctrl-C, also while modules are being imported."""
    try:
        from microgpt_lab.commands import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
