"""Make the jobs of a sweep, some at a time, in this process' children."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.errors import UserError
from microgpt_lab.job import conclude, known
from microgpt_lab.mistakes import explain
from microgpt_lab.record import Run
from microgpt_lab.sweep import JOBS_FOLDER, Place
from microgpt_lab.sweeps.compose import Composer
from microgpt_lab.sweeps.pool import Pool
from microgpt_lab.sweeps.warm import preload, warm


def make(
    composer: Composer, sweep: Path, jobs: Sequence[Sequence[str]], first: int, width: int
) -> list[JobReturn]:
    """Make the jobs of these overrides, `width` at a time; the validation loss of each is its return value.

    What the jobs share is prepared here, before each of them. However one ends, the others go on.
    """
    if jobs:
        (sweep / JOBS_FOLDER).mkdir(parents=True, exist_ok=True)
    returns = [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in jobs]
    preload()
    with Pool(width) as pool, frozen():

        def settle() -> None:
            for run, number, status in pool.wait():
                returns[number].return_value = conclude(run, status).get("loss/val")

        for number, overrides in enumerate(map(list, jobs)):
            run = composed(composer, sweep, overrides, first + number)
            if run is None:
                continue
            while pool.full or pool.has(run):
                settle()
            if summary := known(run):
                returns[number].return_value = summary.get("loss/val")
                continue
            warm(run.config)
            pool.start(run, number)
        while pool.running:
            settle()
    return returns


def composed(composer: Composer, sweep: Path, overrides: list[str], number: int) -> Run | None:
    """The run of a job; None if it has no valid configuration, which is a row then."""
    folder = sweep / "-"
    try:
        config, name = composer.compose(overrides, number)
        folder = sweep / name
        return Run(config, folder, overrides, place=Place(sweep, config))
    except (UserError, HydraException, OmegaConfBaseException) as error:
        refuse(folder, sweep, overrides, explain(error))
        return None


def refuse(folder: Path, sweep: Path, overrides: list[str], error: str) -> None:
    """Write a row for a job that has no valid configuration: it is known by what was asked."""
    place = Place(sweep, {"refused": overrides})
    place.clear()
    Run({}, folder, overrides, place=place).end("refused", error)


@contextmanager
def frozen() -> Iterator[None]:
    """Keep the garbage collector away from what there is now: what it touches, a fork has to copy."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
