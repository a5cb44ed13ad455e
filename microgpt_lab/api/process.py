"""Run the command line in a process of its own, and show what it prints.

A sweep forks, sets handlers of signals and variables of the environment, and is a whole Hydra application.
In a process of its own it does so without changing this one, which may be that of a notebook, with threads.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable

ERROR, GRACE = "error: ", 0.5  # seconds that a command has to end by itself after a Ctrl-C that it got too


def run_command(arguments: list[str], show: Callable[[str], None] | None) -> tuple[int, str]:
    """Run `python -m microgpt_lab …`. Return its exit status, and why it was refused, or "".

    show: called with each line of its output; None: it writes to the terminal itself, in colours.
    KeyboardInterrupt after the command has stopped.
    """
    # A kernel of Jupyter asks for colours, which are for a terminal alone.
    environment = {name: x for name, x in os.environ.items() if name not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
    path = os.pathsep.join(filter(None, sys.path))  # so that it finds the same packages
    process = subprocess.Popen(
        [sys.executable, "-m", "microgpt_lab", *arguments],
        env=environment | {"PYTHONPATH": path, "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if show else None,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    refusals: list[str] = []
    reader = threading.Thread(target=read_errors, args=(process, refusals), daemon=True)
    reader.start()
    try:
        for line in process.stdout or ():
            if show:
                show(line.rstrip("\n"))
        status = process.wait()
    except BaseException:
        stop(process)
        raise
    finally:
        reader.join()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
    return status, refusals[-1] if refusals else ""


def read_errors(process: subprocess.Popen[str], refusals: list[str]) -> None:
    """Pass on what a command writes on stderr, and keep the line that says why it was refused."""
    assert process.stderr
    for line in process.stderr:
        if line.startswith(ERROR):
            refusals.append(line.removeprefix(ERROR).rstrip("\n"))
        elif not line.startswith("interrupted; "):  # how to go on at the command line
            sys.stderr.write(line)


def stop(process: subprocess.Popen[str]) -> None:
    """Wait until a command that was interrupted has stopped its jobs.

    A terminal and Jupyter interrupt all processes, others only this one: then the command gets a SIGTERM.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
        return
    process.terminate()
    for _ in process.stdout or ():  # a full pipe would stop it from ending
        pass
    process.wait()
