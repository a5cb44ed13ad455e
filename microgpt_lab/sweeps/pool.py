"""Processes that run the jobs of a sweep: forks of this process, or workers where it cannot be forked."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.signals import held
from microgpt_lab.sweeps.job import Job, start_fork
from microgpt_lab.sweeps.workers import Worker

# macOS has `fork`, but its own libraries do not survive it.
PLATFORM_FORKS = hasattr(os, "fork") and sys.platform != "darwin"


class Pool:
    """Run jobs, at most `parallel` at a time.

    Each job is a fork of this process, so that what it changes, breaks or leaks ends with it. Where forks
    are impossible (no fork on this platform, or a backend with threads of its own), a worker runs several
    jobs, one after the other. A worker is replaced when a job has left something behind.
    """

    def __init__(self, parallel: int):
        self.parallel = parallel
        # The keys are handles that become readable when the job ends.
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
        return len(self.running) >= self.parallel

    def is_running(self, job: Job) -> bool:
        """Return whether a job with the same configuration is running."""
        return any(job.config == other.config for _, other, _ in self.running.values())

    def start(self, job: Job, index: int) -> None:
        if can_fork(job.config):
            with held():
                process = start_fork(job)
                self.running[process.sentinel] = process, job, index
            return
        worker = self.idle.pop() if self.idle else Worker()
        try:
            worker.start(job)
        except OSError:  # it has died since its last job
            worker.close()
            worker = Worker()
            worker.start(job)
        self.running[worker.connection] = worker, job, index

    def wait(self, seconds: float | None = None) -> list[tuple[Job, int, int]]:
        """Wait for jobs to end; return each with its index and the exit status of its process.

        The status is minus the signal's number if a signal killed the process. The list has at least one
        job, unless none ends within `seconds`.
        """
        return [self.remove_ended(handle) for handle in connection.wait(list(self.running), seconds)]

    def remove_ended(self, handle: Any) -> tuple[Job, int, int]:
        process, job, index = self.running.pop(handle)
        if isinstance(process, Worker):
            status = process.status()
            if process.usable:
                self.idle.append(process)
        else:
            process.join()
            status = process.exitcode or 0
        return job, index, status

    def stop(self) -> None:
        """Ask all jobs to stop after their current step, and wait until they have.

        Windows has no signal that asks: `os.kill` would end a process at once. There, Ctrl-C has reached the
        jobs too, and for other reasons they end as they would.
        """
        for child, *_ in self.running.values() if os.name != "nt" else ():
            process = child.process if isinstance(child, Worker) else child
            if process.pid and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
        while self.running:
            try:
                self.wait()
            except KeyboardInterrupt:  # the jobs received it too
                continue


def can_fork(config: dict[str, Any]) -> bool:
    """Return whether a job runs in a fork of this process; if not, it runs in a worker."""
    return PLATFORM_FORKS and getattr(
        registry().get("backend", config["backend"]["name"]).make, "forks", True
    )


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
