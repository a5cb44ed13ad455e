"""A job of a sweep: a run in a process of its own, so that its end, however it comes, is one row."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import shutil
import signal
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from microgpt_lab.errors import UserError
from microgpt_lab.run import Run, execute
from microgpt_lab.sweep import Place, position, read_summary


def perform(run: Run, sweep: Path) -> dict[str, Any]:
    """Make the run, unless the sweep has it; its summary. `status` may be killed, refused or failed too."""
    run.place = Place(sweep, run.config)
    run.place.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run.place.lock, timeout=0):
            known = run.place.result()
            if known:
                remove_empty(run.folder)
                print(f"= {position(sweep, run.jobs)} {run.name}  is there already")
                return known
            if run.place.folder:
                shutil.rmtree(run.place.folder)  # it was stopped half-way
            return perform_apart(run)
    except Timeout:
        remove_empty(run.folder)
        print(f"= {run.name}  is at work in another process")
        return {"status": "elsewhere"}


def perform_apart(run: Run) -> dict[str, Any]:
    # A fork, for it has everything loaded. Nothing here has started threads yet.
    for package in ("numpy", "tensorboardX"):
        importlib.import_module(package)
    process = multiprocessing.get_context("fork").Process(target=partial(attempt, run))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()  # it got the signal too
        raise
    assert run.place and process.exitcode is not None
    summary = read_summary(run.place.folder or run.folder)
    if process.exitcode == 130:
        raise KeyboardInterrupt
    if summary["status"] == "unfinished":
        by = signal.Signals(-process.exitcode).name if process.exitcode < 0 else f"exit {process.exitcode}"
        run.folder = run.place.folder or run.folder
        return run.end("killed", by)
    return summary


def attempt(run: Run) -> None:
    """In the other process: everything that can go wrong is written down."""
    try:
        if execute(run)["status"] == "interrupted":
            os._exit(130)
    except UserError as error:
        run.end("refused", str(error))
    except KeyboardInterrupt:
        remove_empty(run.folder)
        os._exit(130)
    except Exception as error:
        if not (run.folder / "summary.json").exists():  # it had not begun, and so not said what it is
            run.end("failed", f"{type(error).__name__}: {error}")
            (run.folder / "log.txt").write_text(traceback.format_exc(), encoding="utf-8")


def remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
