"""A job of a sweep: a run in a process of its own, so that its end, however it comes, is one row."""

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
from microgpt_lab.sweeps.folder import MADE, THERE, Place, count

INTERRUPTED, ELSEWHERE, FULL = 130, 75, 74  # exit statuses of the other process
PR_SET_PDEATHSIG = 1


@dataclass(repr=False)
class Job(Run):
    """A run that belongs to a sweep, which knows it by its `place`."""

    place: Place = field(kw_only=True)
    in_sweep = True

    def create_folder(self) -> None:
        super().create_folder()
        self.place.folder = self.folder

    def count_finished(self, mark: str = MADE) -> None:
        """Count the job once; `progress` says how far the sweep is then."""
        if not self.progress:
            self.progress = count(self.place.sweep, mark)

    def end(self, status: str, error: str) -> dict[str, Any]:
        """Write a summary for a job that has no results, so that it is a row all the same."""
        if not self.owns_folder:
            self.claim()
        self.count_finished()
        summary = {"status": status, "error": error}
        self.write_summary(summary)
        print(printable(f"{status}: {self.name}: {error}"), file=sys.stderr)
        return summary


def known(run: Job) -> dict[str, Any] | None:
    """The summary of the run, if the sweep has it already."""
    if summary := run.place.result():
        remove_empty(run.folder)
        run.count_finished(THERE)
        print(f"= {run.progress} {run.name}  is there already")
    return summary


def start(run: Job) -> BaseProcess:
    """A fork of this process, which has everything loaded; it ends when this one does."""
    run.place.path.parent.mkdir(parents=True, exist_ok=True)
    process = multiprocessing.get_context("fork").Process(target=alone, args=(run,))
    process.start()
    return process


def alone(run: Job) -> None:
    """In the other process: make the run, and end without waiting for threads that it has left."""
    status = 1
    try:
        status = attempt(run)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def conclude(run: Job, status: int) -> dict[str, Any]:
    """Return the summary of a run after the end of its process; write one if that left none."""
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status == FULL:
        raise StorageError(f"{run.place.sweep} takes no more")
    if status == ELSEWHERE:
        remove_empty(run.folder)
        print(f"= {run.name}  is at work in another process")
        return {"status": "elsewhere"}
    if run.place.folder:
        run.folder, run.owns_folder = run.place.folder, True
        summary = read_summary(run.folder)
        if summary["status"] not in ("unfinished", "damaged"):
            return summary
    return run.end("killed", signal.Signals(-status).name if status < 0 else f"exit status {status}")


def attempt(run: Job) -> int:
    """Make the run, and write down everything that can go wrong; the exit status of its process."""
    run.started = time.perf_counter()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        with FileLock(run.place.lock, timeout=0):
            if run.place.result():  # another process has made it since we looked
                remove_empty(run.folder)
            elif go_on(run)["status"] == "interrupted":
                return INTERRUPTED
    except (Timeout, Busy):
        return ELSEWHERE
    except StorageError as error:
        print(error, file=sys.stderr)
        return FULL
    except UserError as error:
        run.end("refused", str(error))
    except KeyboardInterrupt:
        remove_empty(run.folder)
        return INTERRUPTED
    except Exception as error:
        if not run.finished:  # else it has said what became of it
            run.end("failed", f"{type(error).__name__}: {error}")
            (run.folder / "log.txt").write_text(traceback.format_exc(), encoding="utf-8")
    return 0


def go_on(run: Job) -> dict[str, Any]:
    """From the last checkpoint of an earlier attempt; anew if there is none that would give the same.

    What cannot be made now (its data is not there, say) keeps the folder that it has.
    """
    fresh, earlier = run.folder, run.place.folder
    if earlier:
        run.folder = earlier
        with run.exclusive():
            try:
                if saved := checkpoint.read(earlier, print):
                    run.owns_folder = True
                    return execute(run, saved)
            except Changed as error:
                print(printable(f"{run.name} begins anew: {error}"), file=sys.stderr)
            run.place.clear()
    run.folder, run.owns_folder, run.resumed = fresh, False, []
    return execute(run)


def remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
