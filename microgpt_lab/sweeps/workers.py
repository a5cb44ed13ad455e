"""A worker: a process that imports everything once and runs several jobs of a sweep, one after the other."""

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
from microgpt_lab.sweeps.job import Job, execute_job
from microgpt_lab.sweeps.prepare import import_packages, prepare_shared
from microgpt_lab.sweeps.traces import changes, process_state
from microgpt_lab.terminal import replace_unprintable

MOST_LISTED = 20  # changes that a log lists
JOBS_PER_WORKER = 50  # a limit, because not everything that a job leaves behind can be detected


class Worker:
    """A worker process, as its parent sees it. `usable` is whether it can run another job."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, child_connection = context.Pipe()
        self.process = context.Process(target=run_worker, args=(child_connection,))
        with ignoring_sigint():
            self.process.start()
        child_connection.close()  # so that the parent can detect the end of the process
        self.usable = True

    def start(self, job: Job) -> None:
        self.connection.send(job)

    def status(self) -> int:
        """Return the job's exit status; the exit status of the process if it died during the job."""
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
    """Ignore Ctrl-C while a process starts, which inherits it. Its parent sends SIGTERM."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run_worker(connection: Connection) -> None:
    """Run jobs in the worker's process until there are no more, or until the worker must be replaced."""
    replace_unprintable()
    try:
        import_packages()
        registry()
        for number in range(1, JOBS_PER_WORKER + 1):
            job = connection.recv()
            prepare_shared(job.config, prepare_at=1)
            before = process_state()
            status = execute_job(job)
            if left_behind := changes(before, process_state()):
                log_changes(job, left_behind)
            usable = not left_behind and number < JOBS_PER_WORKER and runs_first_party_code_only(job.config)
            connection.send((status, usable))
            if not usable:
                break
    except EOFError:
        pass
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # without waiting for threads that a job has left behind


def runs_first_party_code_only(config: dict[str, Any]) -> bool:
    """Return whether a job runs only first-party code.

    The hidden state of third-party parts cannot be checked.
    """
    callbacks = (reuse.is_first_party("callback", chosen) for chosen in config["callback"].values())
    third_party = [
        module for module in registry().plugins if not module.__name__.startswith(f"{FIRST_PARTY}.")
    ]
    watched = any(listener(module, event) for module in third_party for event in EVENTS)
    return reuse.all_first_party(config) and all(callbacks) and not watched


def log_changes(job: Job, changed: list[str]) -> None:
    """Write into the job's log why its worker is replaced."""
    if job.owns_folder:
        more = len(changed) - MOST_LISTED
        names = [*changed[:MOST_LISTED], *([f"{more} more"] if more > 0 else [])]
        with (job.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"left behind by this job, so the next job gets a new process: {', '.join(names)}\n")
