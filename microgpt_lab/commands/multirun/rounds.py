"""Run a sweep in rounds: choose each setting's best value first (`tune`), add seeds as needed (`until`).

All rounds are jobs of the same sweep, so that its launcher runs them, and the same command continues a
sweep that was stopped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from microgpt_lab.errors import UserError, nearest
from microgpt_lab.options.composer import Composer
from microgpt_lab.options.config import is_convertible
from microgpt_lab.options.overrides import key_of
from microgpt_lab.registry.extras import install_module
from microgpt_lab.run.match import matched
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.changes import CHANGE, change_of, split
from microgpt_lab.sweeps.folder import JobEntry, start_counter
from microgpt_lab.sweeps.rounds import FIRST_LOOK, Rounds, looks, read_rounds
from microgpt_lab.sweeps.table import load_sweep

Job = tuple[str, ...]  # the overrides of a job
Launch = Callable[[Sequence[Sequence[str]], int], Any]  # launches jobs; the second is the first one's number


@dataclass(frozen=True)
class Plan:
    """The rounds of a grid.

    candidates: by setting, the jobs without their seed that differ only in values of the tuned keys.
    seeds: the seeds of the comparison.
    until: the half-width of the widest interval at which the sweep stops; 0 to run all seeds.
    varied: the keys with several values.
    changes: the overrides of each of the sweep's changes.
    """

    tune: list[str]
    tuning_seeds: list[int]
    candidates: dict[Job, list[Job]]
    seeds: list[int]
    until: float
    varied: set[str]
    changes: dict[str, list[str]]

    def name_of(self, job: Job) -> list[str]:
        """The overrides in which a job may differ from others, with its change as one of them."""
        change = change_of(job, self.changes)
        rest = [o for o in job if o not in self.changes.get(change, ()) and key_of(o) in self.varied]
        return [f"{CHANGE}={change}", *rest] if self.changes else rest

    @property
    def looks(self) -> list[int]:
        """The numbers of seeds after each round of the comparison."""
        return looks(len(self.seeds)) if self.until else [len(self.seeds)]

    @property
    def tuning(self) -> list[Job]:
        """The jobs that choose a value."""
        jobs = [job for jobs in self.candidates.values() for job in jobs] if self.tune else []
        return [with_seed(job, seed) for job in jobs for seed in self.tuning_seeds]

    @property
    def all_jobs(self) -> list[list[str]]:
        """The jobs of all rounds, those of the comparison with the first value of each tuned key."""
        compared = [with_seed(jobs[0], seed) for jobs in self.candidates.values() for seed in self.seeds]
        return [list(job) for job in (*self.tuning, *compared)]

    @property
    def budget(self) -> str:
        """The number of jobs in each round, as text."""
        settings, seeds = len(self.candidates), len(self.seeds)
        values, tuning = len(next(iter(self.candidates.values()))), len(self.tuning_seeds)
        counted, line = count(settings, "setting"), ""
        if self.tune:
            runs = count(settings * values * tuning, "run")
            line = f"tuning: {counted} × {count(values, 'value')} × {count(tuning, 'seed')} = {runs}; then "
        if self.until:
            numbers = " or ".join(map(str, self.looks))
            return f"{line}{counted} × {numbers} seeds: at most {settings * seeds} runs"
        return f"{line}{settings} × {seeds} = {count(settings * seeds, 'run')}"


def count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def make_plan(config: DictConfig, jobs: Sequence[Sequence[str]]) -> Plan | None:
    """Return the rounds that `hydra.sweeper` asks for, if any. UserError if they do not fit the grid."""
    keys = tuned_keys(OmegaConf.select(config, "hydra.sweeper.tune") or [])
    until = OmegaConf.select(config, "hydra.sweeper.until")
    if not jobs or (not keys and until is None):
        return None
    tuning = config.hydra.sweeper.tuning_seeds
    if not isinstance(tuning, int) or isinstance(tuning, bool) or tuning < 1:
        raise UserError(f"hydra.sweeper.tuning_seeds={tuning}: write a number of seeds, such as 3")
    values: dict[str, dict[str, None]] = {}  # of each key, in order
    for override in (override for job in jobs for override in job):
        values.setdefault(key_of(override), {})[override.partition("=")[2]] = None
    varied = {key for key, found in values.items() if len(found) > 1}
    for key in keys:
        if key == "seed":
            raise UserError("tune seed: a seed cannot be tuned, because it says nothing about other seeds")
        if key not in varied:
            known = OmegaConf.select(config, key) is not None  # but has a single value
            meant = None if known else nearest(key, varied - {"seed"})
            hint = f"; did you mean '{meant}'?" if meant else f": write {key}=A,B"
            raise UserError(f"tune {key}: the sweep needs several values of it{hint}")
    given = values.get("seed", {str(config.seed): None})
    for seed in given:
        if not re.fullmatch(r"[-+]?\d+", seed):
            raise UserError(f"seed={seed}: write an integer, such as seed=42")
    seeds = [int(seed) for seed in given]
    candidates: dict[Job, list[Job]] = {}
    for job in dict.fromkeys(tuple(o for o in job if key_of(o) != "seed") for job in jobs):
        setting = tuple(override for override in job if key_of(override) not in keys)
        candidates.setdefault(setting, []).append(job)
    if until is not None:
        check_until(until, len(candidates), len(seeds))
    first, changes = max(seeds) + 1, split(config.hydra.sweeper.get("changes") or [])
    tuning_seeds = list(range(first, first + tuning))
    return Plan(keys, tuning_seeds, candidates, seeds, float(until or 0), varied, changes)


def tuned_keys(tune: Any) -> list[str]:
    """Return the keys of `hydra.sweeper.tune`, a list or a text with commas. UserError for anything else."""
    keys = tune.replace(" ", "").split(",") if isinstance(tune, str) else tune
    if not isinstance(keys, Sequence) or not all(isinstance(key, str) for key in keys):
        raise UserError(f"hydra.sweeper.tune={tune}: write a list of keys, such as [optimizer.lr]")
    return list(keys)


def check_until(until: Any, settings: int, seeds: int) -> None:
    """Raise UserError if the seeds of a sweep cannot be added until its intervals are this narrow."""
    if not is_convertible(until, float) or not 0 < float(until) < math.inf:
        raise UserError(f"until={until}: write the half-width of the widest interval, such as until=0.005")
    if settings < 2:
        raise UserError(f"until={until} compares settings: the sweep needs several, such as activation=A,B")
    if seeds < FIRST_LOOK:
        raise UserError(f"until={until} adds seeds: write those that it may use, such as 'seed=range(100)'")
    for package in ("pandas", "scipy"):
        if not find_spec(package):
            raise UserError(f"until={until} needs {package}: {install_module(package)}")


def with_seed(job: Job, seed: int) -> Job:
    return (*job, f"seed={seed}")


def run_rounds(plan: Plan, composer: Composer, sweep: Path, launch: Launch) -> list[Any]:
    """Launch the rounds one after the other, and return what the launcher returns."""
    earlier = read_rounds(sweep)
    until, stops = (plan.until, plan.looks) if plan.until else (earlier.until, earlier.looks)
    rounds = Rounds(plan.tune, plan.tuning_seeds, [], until, stops)
    rounds.write(sweep)
    print(plan.budget, flush=True)
    returned, ended = [], 0

    def run(jobs: list[Job], expected: int) -> None:
        nonlocal ended
        start_counter(sweep, expected, ended)
        returned.append(launch(jobs, ended))
        ended += len(jobs)

    chosen = [job for jobs in plan.candidates.values() for job in jobs]
    if plan.tune:
        run(plan.tuning, len(plan.all_jobs))
        chosen = [choose(plan, composer, sweep, jobs) for jobs in plan.candidates.values()]
        rounds = replace(rounds, chosen=[plan.name_of(job) for job in chosen])
        rounds.write(sweep)
    seeds = 0
    for look in plan.looks:
        jobs = [with_seed(job, seed) for job in chosen for seed in plan.seeds[seeds:look]]
        run(jobs, ended + len(jobs))
        seeds = look
        if plan.until and is_precise(sweep, plan, look):
            break
    return returned


def choose(plan: Plan, composer: Composer, sweep: Path, jobs: list[Job]) -> Job:
    """Print and return the best one of the jobs of a setting, without its seed."""
    losses = [[loss(composer, sweep, with_seed(job, seed)) for seed in plan.tuning_seeds] for job in jobs]
    best = best_of(losses)
    name = plan.name_of(jobs[best])
    where = ", ".join(override for override in name if key_of(override) not in plan.tune) or "best"
    value = ", ".join(override for override in name if key_of(override) in plan.tune)
    print(f"{where}: {value} {describe(losses, best)}", flush=True)
    return jobs[best]


def is_precise(sweep: Path, plan: Plan, seeds: int) -> bool:
    """Print how wide the widest interval is, and return whether the sweep can stop."""
    from microgpt_lab.report.analysis import Question, analyse

    try:
        found = analyse(load_sweep(sweep), Question(), sweep)
    except UserError as error:  # no run has a loss
        print(f"{seeds} seeds: {error}")
        return True
    if len(found.compared) < 2:
        print(f"{seeds} seeds: only {len(found.compared)} of {len(found.rows)} settings can be compared")
        return True
    widths = [(row.half_width, row.setting.name) for row in found.rows if row.half_width is not None]
    width, name = max(widths, default=(math.inf, "too few seeds have finished"))
    precise, last = width <= plan.until, seeds == len(plan.seeds)
    outcome = "precise enough" if precise else "no seeds are left" if last else "going on"
    print(f"{seeds} seeds: widest interval ± {width:.2g} ({name}); {outcome}", flush=True)
    return precise


def loss(composer: Composer, sweep: Path, job: Job) -> float | None:
    """Return the objective of a job that has run; None if it has none, because it diverged, for example."""
    try:
        config = matched(composer.compose(job, 0)[0], job)
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


def describe(losses: Sequence[Sequence[float | None]], best: int) -> str:
    """Say why this value is chosen."""
    known = [x for x in losses[best] if x is not None]
    if not known:
        return "is taken, because no run has a loss"
    missing = len(losses[best]) - len(known)
    but = f", {missing} of {len(losses[best])} runs have no loss" * bool(missing)
    return f"is the best of {len(losses)} (mean {sum(known) / len(known):.4f}){but}"
