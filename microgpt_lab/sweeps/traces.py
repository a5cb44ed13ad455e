"""Find what a job has left behind in its process: settings, threads, open files."""

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

Traces = dict[str, Any]


def traces() -> Traces:
    """Describe the state of this process that runs have in common, to be compared with `left`."""
    found: Traces = {f"the environment variable {name}": value for name, value in os.environ.items()}
    found |= {
        "the current folder": str(Path.cwd()),
        "sys.path": list(sys.path),
        "the state of random": hash(random.getstate()),
        "filters of warnings": list(warnings.filters),
        "handlers of logging": list(logging.getLogger().handlers),
        "the garbage collector's settings": (gc.isenabled(), gc.get_threshold()),
        "sys.stdout or sys.stderr": (id(sys.stdout), id(sys.stderr)),
        "a hook of sys": (id(sys.excepthook), id(sys.settrace), id(sys.gettrace()), id(sys.getprofile())),
    }
    found |= {f"the thread {thread.name}": thread.ident for thread in threading.enumerate()}
    found |= {f"the handler of {number.name}": signal.getsignal(number) for number in signal.Signals}
    if numpy := sys.modules.get("numpy"):
        found["numpy's error state"] = dict(numpy.geterr())
        found["the state of numpy.random"] = hash(str(numpy.random.get_state()))
    found |= {f"the open file {number}": name for number, name in open_files().items()}
    return found


def left(before: Traces, after: Traces) -> list[str]:
    """List what differs."""
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name, ...) != after.get(name, ...)
    )


def open_files() -> dict[int, str]:
    """By descriptor, where the system lists them."""
    found = {}
    for link in Path("/proc/self/fd").glob("*"):
        try:
            found[int(link.name)] = str(link.readlink())
        except OSError:  # the listing's own
            continue
    return found
