"""The command line: one module per command. Without the name of a command, `train` runs."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, NoReturn

from microgpt_lab import __version__
from microgpt_lab.errors import STORAGE_ERRNOS, StorageError, UserError, nearest, printable
from microgpt_lab.listing.find import LAST
from microgpt_lab.run.signals import Terminated, raise_terminated
from microgpt_lab.terminal import replace_unprintable

COMMANDS = {
    "bench": "time a configuration on every backend",
    "check": "check that a part, or those of a file, folder or package, do what their kind must",
    "evaluate": "compute the validation or test loss of a run, with its standard error",
    "experiments": "list the recipes (experiment=NAME), or check the results of one",
    "export": "write a run as a program in one file of Python, or for other programs",
    "help": "explain everything, or one command, part or key: help layers",
    "inspect": "replay a text through a run, and show every number of it",
    "new": "write a new part, to be changed: a package, or a file in a folder of plugins",
    "plugins": "list the installed parts and their options, or show one in full: plugins gelu",
    "report": "compare the settings of a sweep",
    "resume": "continue a run that was stopped, or train a finished run longer",
    "runs": "list runs, compare two (runs diff A B), or remove some (runs prune)",
    "sample": "print samples from a run",
    "tune": "find each setting's best value of a key, then compare the settings on other seeds",
}
RUN = "a folder, a part of a name that only one below ./runs has, or 'last' for the newest (default: last)"
KEY_VALUE = "key=value"  # the metavar of overrides, as in training
OVERRIDE = re.compile(r"[+~]*\w[\w.-]*=")  # a first argument like this is no folder, unless it exists
PROGRAM = "python -m microgpt_lab"


class Parser(argparse.ArgumentParser):
    """An argument parser for a command, whose errors are one line."""

    def __init__(self, command: str, **settings: Any):
        super().__init__(f"{PROGRAM} {command}", **settings)
        self.given: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given = self.given or list(args)
        return super().parse_known_args(args, namespace)

    def add_run_and_overrides(self, overrides: str) -> None:
        """Add the arguments RUN and key=value; `overrides` is the help of the latter."""
        self.add_argument("run", nargs="?", default=LAST, metavar="RUN", help=RUN)
        self.add_argument("overrides", nargs="*", default=[], metavar=KEY_VALUE, help=overrides)

    def parse_run_and_overrides(self, arguments: list[str]) -> argparse.Namespace:
        """Parse arguments: RUN, which may be left out, then overrides, and flags anywhere."""
        args = self.parse_intermixed_args(arguments)
        if OVERRIDE.match(args.run) and not Path(args.run).exists():
            args.run, args.overrides = LAST, [args.run, *args.overrides]
        return args

    def error(self, message: str) -> NoReturn:
        if match := re.match(r"unrecognized arguments: (-[^\s=]+)", message):
            message = self.no_flag(match[1])
        raise UserError(f"{message} (see {self.prog} --help)")

    def no_flag(self, flag: str) -> str:
        """Return an error message with the flag that is probably meant, or with the key, if there is one."""
        flags = [flag for flag in self._option_string_actions if flag != "-h"]
        if near := nearest(flag, flags):
            return f"{flag} is not a flag; did you mean '{near}'?"
        if any(action.metavar == KEY_VALUE for action in self._actions):
            from microgpt_lab.options.mistakes import unknown_flag

            raise UserError(unknown_flag(flag, self.given, flags))
        return f"{flag} is not a flag; choose from {', '.join(flags)}"


def print_warning(line: str) -> None:
    """Print a warning on stderr, with control characters escaped."""
    print(printable(f"warning: {line}"), file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Return the exit status: 2 for a mistake of the user, 130 for Ctrl-C, 143 for SIGTERM.

    Otherwise the command decides: 0, or 1 for a run that diverged, for example.
    """
    replace_unprintable()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, raise_terminated)
    # Infinity and NaN need no warnings, because the trainer checks for them.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="microgpt_lab")
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "train"
    if name == "train" and {"--version", "-V"} & set(arguments):
        print(f"microgpt_lab {__version__}")
        return 0
    if name == "train" and {"--help", "-h"} & set(arguments):
        name, arguments = "help", ["help", *arguments]
    try:
        command = importlib.import_module(f"microgpt_lab.commands.{name}")
        return command.main(arguments if name == "train" else arguments[1:])
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.status
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in STORAGE_ERRNOS:
            raise
        print(f"error: {error.filename or 'disk'}: {error.strerror}", file=sys.stderr)
        return StorageError.status
