"""A worker: a process of its own that has everything loaded, and makes one job of a sweep after the other."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from microgpt_lab.registry.folders import FIRST_PARTY
from microgpt_lab.registry.hookspecs import EVENTS
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run import reuse
from microgpt_lab.run.watchers import listener
from microgpt_lab.sweeps.job import Job, attempt
from microgpt_lab.sweeps.traces import left, traces
from microgpt_lab.sweeps.warm import preload, warm

MOST = 20  # things that a log names
JOBS = 50  # that a worker makes, because not all that a job can leave behind can be seen


class Worker:
    """The process as its parent sees it. `usable` says whether it takes another job."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs,))
        with ignoring_sigint():
            self.process.start()
        theirs.close()  # so that the end of the process can be read
        self.usable = True

    def start(self, run: Job) -> None:
        self.connection.send(run)

    def status(self) -> int:
        """What became of the job, as an exit status; that of the process, if it has died of it."""
        try:
            status, self.usable = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            status, self.usable = self.process.exitcode or 0, False
        if not self.usable:
            self.close()
        return status

    def close(self) -> None:
        self.connection.close()
        self.process.join()


@contextlib.contextmanager
def ignoring_sigint() -> Iterator[None]:
    """Let a process that is started here ignore Ctrl-C: it is for its parent, which sends SIGTERM."""
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def work(connection: Connection) -> None:
    """In the process: make the jobs that come, until there are no more, or one could have left something."""
    try:
        preload()
        registry()
        for number in range(1, JOBS + 1):
            run = connection.recv()
            warm(run.config, worth=1)
            before = traces()
            ended = attempt(run)
            if found := left(before, traces()):
                note(run, found)
            go_on = not found and number < JOBS and ours_alone(run.config)
            connection.send((ended, go_on))
            if not go_on:
                break
    except EOFError:
        pass
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # without waiting for threads that a job has left


def ours_alone(config: dict[str, Any]) -> bool:
    """Whether only parts of the lab have run: what another's remembers cannot all be seen."""
    callbacks = (reuse.is_first_party("callback", chosen) for chosen in config["callback"].values())
    others = [module for module in registry().watchers if not module.__name__.startswith(f"{FIRST_PARTY}.")]
    watched = any(listener(module, event) for module in others for event in EVENTS)
    return reuse.all_first_party(config) and all(callbacks) and not watched


def note(run: Job, found: list[str]) -> None:
    """Say in the run's log why its worker was replaced."""
    if run.owns_folder:
        names = [*found[:MOST], *([f"{len(found) - MOST} more"] if len(found) > MOST else [])]
        with (run.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"left behind by this job, so that the next has a new process: {', '.join(names)}\n")
