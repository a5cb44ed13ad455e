"""Find what a job has left behind in its process: settings, threads, open files, globals of plugins."""

from __future__ import annotations

import gc
import inspect
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections import deque
from pathlib import Path
from typing import Any

from microgpt_lab.plugins import OURS, registry

Traces = dict[str, Any]


class Globals(Traces):
    """Those of a module."""


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
    return found | {name: plugin(module) for name, module in plugins().items()}


def left(before: Traces, after: Traces) -> list[str]:
    """List what differs, but for modules that were imported meanwhile."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if isinstance(new, Globals):
            old = new if old is None else old
            found += [
                f"{key} of {name}" for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)
            ]
        elif old != new:
            found.append(name)
    return found


def open_files() -> dict[int, str]:
    """By descriptor, where the system lists them."""
    found = {}
    for link in Path("/proc/self/fd").glob("*"):
        try:
            found[int(link.name)] = str(link.readlink())
        except OSError:  # the listing's own
            continue
    return found


def plugins() -> dict[str, Any]:
    """The modules of plugins that are not ours, and those beside them, by name."""
    names = [module.__name__ for module in registry().watchers if not module.__name__.startswith(f"{OURS}.")]
    packages = {name.rpartition(".")[0] for name in names} - {""}
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name in names or name.rpartition(".")[0] in packages
    }


def plugin(module: Any) -> Globals:
    """A module's globals, and the attributes of its functions and classes."""
    found = Globals()
    for key, value in list(vars(module).items()):
        found[key] = content(value)
        if getattr(value, "__module__", None) == module.__name__:
            found |= {f"{key}.{attribute}": x for attribute, x in attributes(value).items()}
    return found


def attributes(value: Any) -> dict[str, Any]:
    """Of a class or a function: what it remembers."""
    found = {key: content(x) for key, x in vars(value).items()} if hasattr(value, "__dict__") else {}
    if inspect.isfunction(value):
        found["closure"] = [content(cell.cell_contents) for cell in value.__closure__ or ()]
        found["defaults"] = [
            content(x) for x in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
        ]
    return found


def content(value: Any) -> Any:
    """To compare by: what a container holds, the value of a number or text, else which object it is."""
    if isinstance(value, dict):
        return {id(key): shallow(x) for key, x in list(value.items())}
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [shallow(x) for x in list(value)]
    return shallow(value)


def shallow(value: Any) -> Any:
    return value if isinstance(value, (int, float, complex, str, bytes, type(None))) else id(value)
