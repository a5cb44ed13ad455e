"""Find what a job has changed in its process: settings, threads and open files."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

ProcessState = dict[str, Any]


def process_state() -> ProcessState:
    """Describe the state of this process that its jobs share, to be compared with `changes`."""
    state: ProcessState = {f"the environment variable {name}": value for name, value in os.environ.items()}
    state |= {
        "the current folder": str(Path.cwd()),
        "sys.path": list(sys.path),
        "the state of random": hash(random.getstate()),
        "filters of warnings": list(warnings.filters),
        "handlers of logging": list(logging.getLogger().handlers),
        "the garbage collector's settings": (gc.isenabled(), gc.get_threshold()),
        "sys.stdout or sys.stderr": (id(sys.stdout), id(sys.stderr)),
        "a hook of sys": (id(sys.excepthook), id(sys.settrace), id(sys.gettrace()), id(sys.getprofile())),
    }
    state |= {f"the thread {thread.name}": thread.ident for thread in threading.enumerate()}
    state |= {f"the handler of {number.name}": signal.getsignal(number) for number in signal.Signals}
    if numpy := sys.modules.get("numpy"):
        state["numpy's error state"] = dict(numpy.geterr())
        state["the state of numpy.random"] = hash(str(numpy.random.get_state()))
    state |= {f"the open file {number}": name for number, name in open_files().items()}
    return state


def changes(before: ProcessState, after: ProcessState) -> list[str]:
    """List the names of what differs between two states."""
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name, ...) != after.get(name, ...)
    )


def open_files() -> dict[int, str]:
    """Return the paths of open files by descriptor; empty where the system does not list them."""
    paths = {}
    for link in Path("/proc/self/fd").glob("*"):
        try:
            paths[int(link.name)] = str(link.readlink())
        except OSError:  # the descriptor that lists the folder is closed again
            continue
    return paths
