"""The command line: one module a command; without a command's name, training."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
import warnings
from typing import NoReturn

from microgpt_lab.errors import NO_ROOM, NoRoom, UserError, printable
from microgpt_lab.signals import Terminated, terminate

COMMANDS = {
    "bench": "time a configuration on every backend",
    "experiments": "list the recipes, or check one",
    "plugins": "list the parts that are installed",
    "report": "compare the runs of a sweep",
    "resume": "go on with a run that was stopped",
    "sample": "sample from a finished run",
}


class Parser(argparse.ArgumentParser):
    """Whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 2 for what the user did wrong, 130 after Ctrl-C, 143 after SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)
    # Infinity and NaN are results, which the trainer looks for.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="microgpt_lab")
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "train"
    command = importlib.import_module(f"microgpt_lab.commands.{name}")
    try:
        return command.main(arguments if name == "train" else arguments[1:])
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.status
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(f"error: {error.filename or 'disk'}: {error.strerror}", file=sys.stderr)
        return NoRoom.status
