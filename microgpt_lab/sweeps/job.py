"""A job of a sweep: a run in a process of its own, so that a crash ends only this job."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from microgpt_lab.errors import Busy, Changed, StorageError, UserError, printable
from microgpt_lab.run import checkpoint
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read_summary
from microgpt_lab.run.record import Run
from microgpt_lab.run.signals import StopOnSignal, handle_once
from microgpt_lab.sweeps.folder import RAN, REUSED, JobEntry, count_job

INTERRUPTED, RUNNING_ELSEWHERE, STORAGE_ERROR = 130, 75, 74  # exit statuses of a job's process
PR_SET_PDEATHSIG = 1


@dataclass(repr=False)
class Job(Run):
    """A run that belongs to a sweep, which identifies it by its `entry`."""

    entry: JobEntry = field(kw_only=True)
    in_sweep = True

    def create_folder(self) -> None:
        with StopOnSignal() as stopping:  # between the two, the folder would be left behind
            super().create_folder()
            self.entry.folder = self.folder
        if stopping.signal:
            raise KeyboardInterrupt

    def count_as_ended(self, mark: str = RAN) -> None:
        """Count the job once, and set `progress`."""
        if not self.progress:
            self.progress = count_job(self.entry.sweep, mark)

    def end_without_result(self, status: str, error: str) -> dict[str, Any]:
        """Write a summary for a job that has no result, so that lists and reports show it."""
        if not self.owns_folder:
            self.claim()
        self.count_as_ended()
        summary = {"status": status, "error": error}
        self.write_summary(summary)
        print(printable(f"{status}: {self.name}: {error}"), file=sys.stderr)
        return summary


def report_existing_result(job: Job) -> dict[str, Any] | None:
    """Report a job that has its result already, and return the summary; else None."""
    if summary := job.entry.result():
        remove_empty(job.folder)
        job.count_as_ended(REUSED)
        print(f"= {job.progress} {job.name}  already finished")
    return summary


def start_fork(job: Job) -> BaseProcess:
    """Start the job in a fork of this process, which inherits all imports. It ends when this process ends."""
    job.entry.path.parent.mkdir(parents=True, exist_ok=True)
    process = multiprocessing.get_context("fork").Process(target=execute_and_exit, args=(job,))
    process.start()
    return process


def execute_and_exit(job: Job) -> None:
    """Execute the job in its own process, and exit without waiting for threads that it left behind."""
    status = INTERRUPTED
    try:
        handle_once()
        status = execute_job(job)
    except KeyboardInterrupt:
        pass
    except BaseException:
        status = 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def collect_result(job: Job, status: int) -> dict[str, Any]:
    """Return the summary of a job whose process has ended; write a summary if the job could not."""
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status == STORAGE_ERROR:
        raise StorageError(f"{job.entry.sweep} cannot be written")
    if status == RUNNING_ELSEWHERE:
        remove_empty(job.folder)
        print(f"= {job.name}  is running in another process")
        return {"status": "elsewhere"}
    if job.entry.folder:
        job.folder, job.owns_folder = job.entry.folder, True
        summary = read_summary(job.folder)
        if summary["status"] not in ("unfinished", "damaged"):
            return summary
    error = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return job.end_without_result("killed", error)


def execute_job(job: Job) -> int:
    """Execute a job, record any error in its folder, and return the exit status of its process."""
    job.started = time.perf_counter()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        parent = multiprocessing.parent_process()
        if parent and os.getppid() != parent.pid:  # it ended before it could be waited for
            return INTERRUPTED
    try:
        with FileLock(job.entry.lock, timeout=0):
            if job.entry.result():  # another process has finished it since `report_existing_result`
                remove_empty(job.folder)
            elif resume_or_start(job)["status"] == "interrupted":
                return INTERRUPTED
    except (Timeout, Busy):
        return RUNNING_ELSEWHERE
    except StorageError as error:
        print(error, file=sys.stderr)
        return STORAGE_ERROR
    except UserError as error:
        job.end_without_result("refused", str(error))
    except KeyboardInterrupt:
        remove_empty(job.folder)
        return INTERRUPTED
    except Exception as error:
        if not job.finished:  # otherwise summary.json has its status already
            job.end_without_result("failed", f"{type(error).__name__}: {error}")
            (job.folder / "log.txt").write_text(traceback.format_exc(), encoding="utf-8")
    return 0


def resume_or_start(job: Job) -> dict[str, Any]:
    """Resume from the last checkpoint of an earlier run if that gives the same result, else start again.

    A job with a checkpoint keeps its folder if it cannot run now (for example because its data is missing).
    """
    new_folder, earlier = job.folder, job.entry.folder
    if earlier:
        job.folder = earlier
        with job.exclusive():
            try:
                if saved := checkpoint.read(earlier, print):
                    job.owns_folder = True
                    return execute(job, saved)
            except Changed as error:
                print(printable(f"{job.name} starts again: {error}"), file=sys.stderr)
            job.entry.delete_run()
    job.folder, job.owns_folder, job.resumed = new_folder, False, []
    return execute(job)


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()
