"""Make the jobs of a sweep, some at a time, in this process' children."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.overrides import run_name
from microgpt_lab.sweeps.folder import JOBS_FOLDER, Place
from microgpt_lab.sweeps.job import Job, conclude, known
from microgpt_lab.sweeps.pool import Pool, forked
from microgpt_lab.sweeps.progress import Bar
from microgpt_lab.sweeps.warm import preload, seen, warm

# The overrides of a job and its number to its configuration and the name of its folder.
Compose = Callable[[list[str], int], tuple[dict[str, Any], str]]


def make(
    compose: Compose,
    sweep: Path,
    jobs: Sequence[Sequence[str]],
    first: int = 0,
    width: int = 1,
    *,
    alone: bool = True,
) -> list[float | None]:
    """Make the jobs of these overrides, `width` at a time; the validation loss of each, if it has one.

    What the jobs share is prepared here, before each of them. However one ends, the others go on. If this
    process is not `alone`, others print on the same terminal.
    """
    if jobs:
        (sweep / JOBS_FOLDER).mkdir(parents=True, exist_ok=True)
    losses: list[float | None] = [None] * len(jobs)
    beside = width > 1 or not alone
    preload()
    seen.clear()
    with Pool(width) as pool, frozen(), Bar(len(jobs), beside and alone) as bar:

        def settle() -> None:
            bar.show(number - len(pool.running), len(pool.running))
            for run, place, status in pool.wait(bar.pause):
                bar.erase()
                losses[place] = conclude(run, status).get("loss/val")

        for number, overrides in enumerate(map(list, jobs)):
            run = composed(compose, sweep, overrides, first + number)
            if run is None:
                continue
            run.parallel = beside
            while pool.full or pool.has(run):
                settle()
            if summary := known(run):
                losses[number] = summary.get("loss/val")
                continue
            if forked(run.config):
                warm(run.config)
            pool.start(run, number)
        number = len(jobs)
        while pool.running:
            settle()
    return losses


def perform(run: Job) -> dict[str, Any]:
    """Make one job, unless the sweep has it; its summary. `status` may be killed, refused or failed too."""
    if summary := known(run):
        return summary
    preload()
    with Pool(1) as pool:
        pool.start(run, 0)
        ((_, _, status),) = pool.wait()
    return conclude(run, status)


def composed(compose: Compose, sweep: Path, overrides: list[str], number: int) -> Job | None:
    """The run of a job; None if it has no valid configuration, which is a row then."""
    try:
        config, name = compose(overrides, number)
    except UserError as error:
        refuse(sweep / (run_name(overrides) or str(number)), overrides, str(error))
        return None
    return Job(config, sweep / name, overrides, place=Place(sweep, config))


def refuse(folder: Path, overrides: list[str], error: str) -> None:
    """Write a row for a job that has no valid configuration: it is known by what was asked."""
    place = Place(folder.parent, {"refused": overrides})
    place.clear()
    Job({}, folder, overrides, place=place).end("refused", error)


@contextmanager
def frozen() -> Iterator[None]:
    """Keep the garbage collector away from what there is now: what it touches, a fork has to copy."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
