"""The command line: one module a command; without a command's name, training."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import signal
import sys
import threading
import warnings
from typing import Any, NoReturn

from microgpt_lab import __version__
from microgpt_lab.errors import STORAGE_ERRNOS, StorageError, UserError, nearest, printable
from microgpt_lab.run.signals import Terminated, raise_terminated

COMMANDS = {
    "bench": "time a configuration on every backend",
    "experiments": "list the recipes (experiments worth repeating), or check one",
    "help": "say what there is, or explain a command, part or key: help layers",
    "plugins": "list the parts that are installed, and their options",
    "report": "compare the runs of a sweep",
    "resume": "go on with a run that was stopped, or train a finished one longer",
    "runs": "list runs, compare two (runs diff A B), or remove some (runs prune)",
    "sample": "print new documents from a run",
}
RUN = "its folder, a part of the name of only one below ./runs, or 'last' (the default): the newest there"
KEY_VALUE = "key=value"  # stands for the configuration, as for training
PROGRAM = "python -m microgpt_lab"


class Parser(argparse.ArgumentParser):
    """A command's arguments. Its errors are one line."""

    def __init__(self, command: str, **settings: Any):
        super().__init__(f"{PROGRAM} {command}", **settings)
        self.given: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given = self.given or list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        if found := re.match(r"unrecognized arguments: (-[^\s=]+)", message):
            message = self.no_flag(found[1])
        raise UserError(f"{message} (see {self.prog} --help)")

    def no_flag(self, flag: str) -> str:
        """The flag of this command that is meant; or the key, where it takes a configuration."""
        flags = [flag for flag in self._option_string_actions if flag != "-h"]
        if near := nearest(flag, flags):
            return f"{flag} is no flag; did you mean '{near}'?"
        if any(action.metavar == KEY_VALUE for action in self._actions):
            from microgpt_lab.options.mistakes import no_flag

            raise UserError(no_flag(flag, self.given, flags))
        return f"{flag} is no flag; there is {', '.join(flags)}"


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 2 for what the user did wrong, 130 after Ctrl-C, 143 after SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, raise_terminated)
    # Infinity and NaN are results, which the trainer looks for.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="microgpt_lab")
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "train"
    if name == "train" and {"--version", "-V"} & set(arguments):
        print(f"microgpt_lab {__version__}")
        return 0
    if name == "train" and {"--help", "-h"} & set(arguments):
        name, arguments = "help", ["help", *arguments]
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
        if error.errno not in STORAGE_ERRNOS:
            raise
        print(f"error: {error.filename or 'disk'}: {error.strerror}", file=sys.stderr)
        return StorageError.status
