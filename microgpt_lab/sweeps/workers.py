"""A worker: a process of its own that has everything loaded, and makes one job of a sweep after the other."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection

from microgpt_lab.job import attempt
from microgpt_lab.plugins import registry
from microgpt_lab.record import Run
from microgpt_lab.signals import terminate
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
        self.process.start()
        theirs.close()  # so that the end of the process can be read
        self.usable = True

    def start(self, run: Run) -> None:
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


def work(connection: Connection) -> None:
    """In the process: make the jobs that come, until there are no more, or one has left something behind."""
    signal.signal(signal.SIGTERM, terminate)
    preload()
    registry()
    try:
        for number in range(1, JOBS + 1):
            run = connection.recv()
            warm(run.config, worth=1)
            before = traces()
            status = attempt(run)
            if found := left(before, traces()):
                note(run, found)
            connection.send((status, not found and number < JOBS))
            if found:
                break
    except (EOFError, KeyboardInterrupt):
        pass
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # without waiting for threads that a job has left


def note(run: Run, found: list[str]) -> None:
    """Say in the run's log why its worker was replaced."""
    if run.claimed:
        names = [*found[:MOST], *([f"{len(found) - MOST} more"] if len(found) > MOST else [])]
        with (run.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"left behind by this job, so that the next has a new process: {', '.join(names)}\n")
