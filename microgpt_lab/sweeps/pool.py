"""Processes at work on the jobs of a sweep: forks of this one, or workers where it cannot be forked."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

from microgpt_lab.registry.plugins import registry
from microgpt_lab.sweeps.job import Job, start
from microgpt_lab.sweeps.workers import Worker

# macOS has `fork`, but its own libraries do not survive it.
FORKS = hasattr(os, "fork") and sys.platform != "darwin"


class Pool:
    """Makes jobs, at most `width` at a time.

    Each job is a fork of this process, so that what it changes, breaks or leaks ends with it. Where that
    is not possible (no fork, or a backend with threads of its own), it goes to a worker that makes several
    jobs, one after the other, and is replaced when one has left something behind.
    """

    def __init__(self, width: int):
        self.width = width
        # By what the end of a job can be read from.
        self.running: dict[Any, tuple[BaseProcess | Worker, Job, int]] = {}
        self.idle: list[Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind:
            self.stop()
        for worker in self.idle:
            worker.close()

    @property
    def full(self) -> bool:
        return len(self.running) >= self.width

    def has(self, run: Job) -> bool:
        """Whether a job of the same configuration is at work."""
        return any(run.config == other.config for _, other, _ in self.running.values())

    def start(self, run: Job, number: int) -> None:
        if forked(run.config):
            process = start(run)
            self.running[process.sentinel] = process, run, number
            return
        worker = self.idle.pop() if self.idle else Worker()
        try:
            worker.start(run)
        except OSError:  # it has died meanwhile
            worker.close()
            worker = Worker()
            worker.start(run)
        self.running[worker.connection] = worker, run, number

    def wait(self, seconds: float | None = None) -> list[tuple[Job, int, int]]:
        """The jobs that have ended, with their numbers and the exit statuses of their processes: minus a
        signal's number if that killed it. At least one, unless that takes longer than these `seconds`.
        """
        return [self.ended(sign) for sign in connection.wait(list(self.running), seconds)]

    def ended(self, sign: Any) -> tuple[Job, int, int]:
        child, run, number = self.running.pop(sign)
        if isinstance(child, Worker):
            status = child.status()
            if child.usable:
                self.idle.append(child)
        else:
            child.join()
            status = child.exitcode or 0
        return run, number, status

    def stop(self) -> None:
        """Ask all jobs to end after the step that they are at, and wait for that."""
        for child, *_ in self.running.values():
            process = child.process if isinstance(child, Worker) else child
            if process.pid and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
        while self.running:
            try:
                self.wait()
            except KeyboardInterrupt:  # it came to them as well
                continue


def forked(config: dict[str, Any]) -> bool:
    """Whether a job is a fork of this process, which may prepare its backend, or goes to a worker."""
    return FORKS and getattr(registry().get("backend", config["backend"]["name"]).make, "forks", True)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
