"""Run the jobs of a sweep in parallel, in child processes of this process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.overrides import run_name
from microgpt_lab.run.match import matched
from microgpt_lab.sweeps.folder import JOBS_FOLDER, JobEntry
from microgpt_lab.sweeps.job import Job, collect_result, report_existing_result
from microgpt_lab.sweeps.pool import Pool, can_fork
from microgpt_lab.sweeps.prepare import import_packages, jobs_per_setting, prepare_shared
from microgpt_lab.sweeps.progress import ProgressBar

# Returns the configuration and the folder name of a job, from its overrides and its number.
Compose = Callable[[list[str], int], tuple[dict[str, Any], str]]


def run_jobs(
    compose: Compose,
    sweep: Path,
    jobs: Sequence[Sequence[str]],
    first: int = 0,
    parallel: int = 1,
    *,
    owns_terminal: bool = True,
) -> list[float | None]:
    """Run the jobs with these overrides, at most `parallel` at a time, and return their objectives.

    The objective is None for a job without one. What several jobs share is prepared in this process, before
    each job starts. If a job fails, the other jobs continue. `first` is the number of the first job. If
    this process does not own the terminal (`owns_terminal`), other processes print on it too.
    """
    if jobs:
        (sweep / JOBS_FOLDER).mkdir(parents=True, exist_ok=True)
    objectives: list[float | None] = [None] * len(jobs)
    share_terminal = parallel > 1 or not owns_terminal
    import_packages()
    jobs_per_setting.clear()
    with Pool(parallel) as pool, gc_frozen(), ProgressBar(len(jobs), share_terminal and owns_terminal) as bar:

        def collect_ended() -> None:
            bar.show(index - len(pool.running), len(pool.running))
            for job, job_index, status in pool.wait(bar.refresh_seconds):
                bar.erase()
                objectives[job_index] = collect_result(job, status).get(job.objective)

        for index, overrides in enumerate(map(list, jobs)):
            job = compose_job(compose, sweep, overrides, first + index)
            if job is None:
                continue
            job.parallel = share_terminal
            while pool.full or pool.is_running(job):
                collect_ended()
            if summary := report_existing_result(job):
                objectives[index] = summary.get(job.objective)
                continue
            if can_fork(job.config):
                prepare_shared(job.config)
            pool.start(job, index)
        index = len(jobs)
        while pool.running:
            collect_ended()
    return objectives


def run_job(job: Job) -> dict[str, Any]:
    """Run a job, unless the sweep has its result already, and return its summary.

    `status` can also be "killed", "refused", "failed" or "elsewhere".
    """
    if summary := report_existing_result(job):
        return summary
    import_packages()
    with Pool(1) as pool:
        pool.start(job, 0)
        ((_, _, status),) = pool.wait()
    return collect_result(job, status)


def compose_job(compose: Compose, sweep: Path, overrides: list[str], number: int) -> Job | None:
    """Return the job with these overrides. If its configuration is invalid, refuse it and return None."""
    try:
        config, name = compose(overrides, number)
        config = matched(config, overrides)
    except UserError as error:
        refuse(sweep / (run_name(overrides) or str(number)), overrides, str(error))
        return None
    return Job(config, sweep / name, overrides, entry=JobEntry(sweep, config))


def refuse(folder: Path, overrides: list[str], error: str) -> None:
    """Write a summary for a job with an invalid configuration, identified by its overrides."""
    entry = JobEntry(folder.parent, {"refused": overrides})
    entry.delete_run()
    Job({}, folder, overrides, entry=entry).end_without_result("refused", error)


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Keep the garbage collector away from existing objects: a fork must copy each page that it changes."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
