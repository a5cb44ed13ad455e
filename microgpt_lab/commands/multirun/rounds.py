"""Run a sweep in rounds: choose each setting's best value on other seeds first (`tune`).

All rounds are jobs of the same sweep, so that its launcher runs them, and the same command continues a
sweep that was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options.composer import Composer
from microgpt_lab.options.overrides import key_of
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.folder import JobEntry, start_counter
from microgpt_lab.sweeps.rounds import Rounds

Job = tuple[str, ...]  # the overrides of a job
Launch = Callable[[Sequence[Sequence[str]], int], Any]  # launches jobs; the second is the first one's number


@dataclass(frozen=True)
class Plan:
    """The rounds of a grid.

    candidates: by setting, the jobs without their seed that differ only in values of the tuned keys.
    seeds: the seeds of the comparison.
    varied: the keys with several values.
    """

    tune: list[str]
    tuning_seeds: list[int]
    candidates: dict[Job, list[Job]]
    seeds: list[int]
    varied: set[str]

    @property
    def tuning(self) -> list[Job]:
        """The jobs of the first round."""
        jobs = [job for jobs in self.candidates.values() for job in jobs]
        return [with_seed(job, seed) for job in jobs for seed in self.tuning_seeds]

    def comparison(self, chosen: Sequence[Job]) -> list[Job]:
        """The jobs that are compared."""
        return [with_seed(job, seed) for job in chosen for seed in self.seeds]

    @property
    def jobs(self) -> list[list[str]]:
        """The jobs of all rounds, those of the comparison with the first value of each tuned key."""
        firsts = [jobs[0] for jobs in self.candidates.values()]
        return [list(job) for job in (*self.tuning, *self.comparison(firsts))]

    @property
    def budget(self) -> str:
        """The number of jobs in each round, as text."""
        settings, seeds = len(self.candidates), len(self.seeds)
        values, tuning = len(next(iter(self.candidates.values()))), len(self.tuning_seeds)
        return (
            f"tuning: {settings} settings × {values} values × {tuning} seeds = {settings * values * tuning} "
            f"runs; then {settings} × {seeds} = {settings * seeds} runs"
        )


def make_plan(config: DictConfig, jobs: Sequence[Sequence[str]]) -> Plan | None:
    """Return the rounds that `hydra.sweeper` asks for; None if it asks for none. UserError if it cannot be."""
    tune: Any = OmegaConf.select(config, "hydra.sweeper.tune")
    keys = tune.split(",") if isinstance(tune, str) else list(tune or ())
    if not keys or not jobs:
        return None
    count = config.hydra.sweeper.tuning_seeds
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UserError(f"hydra.sweeper.tuning_seeds={count}: write a number of seeds, such as 3")
    values: dict[str, dict[str, None]] = {}  # of each key, in order
    for override in (override for job in jobs for override in job):
        values.setdefault(key_of(override), {})[override.partition("=")[2]] = None
    for key in keys:
        if len(values.get(key, ())) < 2 or key == "seed":
            several = [name for name, found in values.items() if len(found) > 1 and name != "seed"]
            example = "" if key in several or key == "seed" else suggest(key, several)
            raise UserError(f"tune {key}: the sweep needs several values of it, {key}=A,B{example}")
    seeds = [int(seed) for seed in values.get("seed", {str(config.seed): None})]
    candidates: dict[Job, list[Job]] = {}
    for job in dict.fromkeys(tuple(o for o in job if key_of(o) != "seed") for job in jobs):
        setting = tuple(override for override in job if key_of(override) not in keys)
        candidates.setdefault(setting, []).append(job)
    first = max(seeds) + 1
    varied = {key for key, found in values.items() if len(found) > 1}
    return Plan(keys, list(range(first, first + count)), candidates, seeds, varied)


def with_seed(job: Job, seed: int) -> Job:
    return (*job, f"seed={seed}")


def run_rounds(plan: Plan, composer: Composer, sweep: Path, launch: Launch) -> list[Any]:
    """Launch the rounds one after the other, and return what the launcher returns."""
    Rounds(plan.tune, plan.tuning_seeds).write(sweep)
    print(plan.budget)
    start_counter(sweep, len(plan.jobs))
    returned = [launch(plan.tuning, 0)]
    chosen = []
    for setting, jobs in plan.candidates.items():
        losses = [[loss(composer, sweep, with_seed(job, seed)) for seed in plan.tuning_seeds] for job in jobs]
        best = best_of(losses)
        chosen.append(jobs[best])
        where = ", ".join(override for override in setting if key_of(override) in plan.varied) or "best"
        value = ", ".join(override for override in jobs[best] if key_of(override) in plan.tune)
        print(f"{where}: {value} of {len(jobs)} values{describe(losses[best])}")
    varied = [[override for override in job if key_of(override) in plan.varied] for job in chosen]
    Rounds(plan.tune, plan.tuning_seeds, varied).write(sweep)
    start_counter(sweep, len(plan.jobs), len(plan.tuning))
    return [*returned, launch(plan.comparison(chosen), len(plan.tuning))]


def loss(composer: Composer, sweep: Path, job: Job) -> float | None:
    """Return the objective of a job that has run; None if it has none, because it diverged, for example."""
    try:
        config, _ = composer.compose(job, 0)
    except UserError:
        return None
    summary = JobEntry(sweep, config).result() or {}
    value = summary.get(Run(config, sweep, list(job)).objective)
    finite = isinstance(value, (int, float)) and math.isfinite(value)
    return value if finite and summary["status"] == "ok" else None


def best_of(losses: Sequence[Sequence[float | None]]) -> int:
    """Return the index of the value with the lowest mean; `losses` has a list over seeds for each value.

    A value with a run without a loss is the best only if every value has one: then the value with the fewest.
    """

    def order(index: int) -> tuple[int, float]:
        known = [x for x in losses[index] if x is not None]
        return len(losses[index]) - len(known), sum(known) / len(known) if known else math.inf

    return min(range(len(losses)), key=order)


def describe(losses: Sequence[float | None]) -> str:
    known = [x for x in losses if x is not None]
    missing = f", {len(losses) - len(known)} of {len(losses)} runs have no loss" * (len(known) < len(losses))
    return (f" (mean {sum(known) / len(known):.4f})" if known else "") + missing
