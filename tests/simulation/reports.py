"""Share of false claims in whole reports of simulated sweeps, with choices of the user and failed runs.

In each sweep, all settings are truly equal.
"""

from __future__ import annotations

import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from microgpt_lab.report.analysis import Analysis, Question, analyse
from microgpt_lab.report.comparison import LEVEL, STOPPED_LEVEL, compare
from microgpt_lab.sweeps.rounds import Rounds
from microgpt_lab.sweeps.rounds import looks as looks_of

Rows = list[dict[str, Any]]


def report(rows: Rows, swept: list[str], sweep: Any = None, **question: Any) -> Analysis:
    frame = pandas.DataFrame([{"status": "ok"} | row for row in rows])
    frame.attrs |= {"swept": swept, "fixed": {}}
    return analyse(frame, Question(**question), sweep)


def claims(found: Analysis) -> bool:
    return any(row.significant for row in found.rows)


def grid(random: Any, settings: int, others: int, seeds: int) -> Rows:
    """Simulate runs: a third of the variance comes from the seed, a third from the other key at this seed."""
    seed, other = random.standard_normal((seeds, 1, 1)), random.standard_normal((seeds, 1, others))
    loss = (seed + other + random.standard_normal((seeds, settings, others))) / math.sqrt(3)
    return [
        {"a": s, "b": o, "seed": n, "loss/val": loss[n, s, o] + o}
        for n in range(seeds)
        for s in range(settings)
        for o in range(others)
    ]


def by_one_key(count: int, seeds: int, hole: bool = False) -> float:
    """`--by a`; with a `hole`, a combination that is much better than the others is missing."""
    random, wrong = np.random.default_rng(1), 0
    for _ in range(count):
        rows = grid(random, 5, 3, seeds)
        rows = [row for row in rows if not (hole and row["a"] == 1 and row["b"] == 0)]
        wrong += claims(report(rows, ["a", "b", "seed"], by="a"))
    return wrong / count


def best_of_many(count: int, values: int, seeds: int, baseline: bool = False) -> float:
    """`--best b`: one setting can choose from this number of values of b, four settings have one value."""
    random, wrong = np.random.default_rng(2), 0
    question = {"best": "b"} | ({"against": "a=4"} if baseline else {})
    for _ in range(count):
        loss = random.standard_normal((seeds, 4 + values))
        rows = [
            {"a": min(k, 4), "b": max(k, 4), "seed": n, "loss/val": loss[n, k]}
            for n in range(seeds)
            for k in range(4 + values)
        ]
        wrong += claims(report(rows, ["a", "b", "seed"], **question))
    return wrong / count


def tuned(count: int, values: int, seeds: int) -> float:
    """`tune b`: each of five settings is at its best of this number of values, chosen on 3 other seeds."""
    random, wrong = np.random.default_rng(7), 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            loss = random.standard_normal((seeds + 3, 5, values))
            best = loss[seeds:].mean(0).argmin(1)
            rows = [
                {"a": a, "b": b, "seed": seed, "loss/val": loss[seed, a, b]}
                for seed in range(seeds + 3)
                for a in range(5)
                for b in (range(values) if seed >= seeds else best[a : a + 1])
            ]
            chosen = [[f"a={a}", f"b={b}"] for a, b in enumerate(best)]
            Rounds(["b"], list(range(seeds, seeds + 3)), chosen).write(Path(folder))
            wrong += claims(report(rows, ["a", "b", "seed"], Path(folder)))
    return wrong / count


def at_best(count: int, method: str, values: int, seeds: int, gap: float) -> tuple[float, float]:
    """Return the share of false claims, and of worse settings that are claimed to be worse.

    Six settings, each at its best of this number of values. From one value to the next, the loss differs by
    one standard deviation of a paired difference. Every second setting is worse by `gap`. The values are
    chosen on the same seeds (`counted`), on three of them, on half of them, or on three others.
    """
    random, wrong, told, worse = np.random.default_rng(8), 0, 0, np.arange(6) % 2 == 1
    choosing = {"counted": 0, "three": 3, "half": seeds // 2, "others": 3}[method]
    total = seeds + choosing if method == "others" else seeds
    for _ in range(count):
        distance = abs(np.arange(values) - random.integers(values, size=(6, 1)))
        means = gap * worse[:, None] + distance
        noise = random.standard_normal((total, 1, 1)) + random.standard_normal((total, 6, values))
        loss = noise / math.sqrt(2) + means
        best = loss[-choosing:].mean(0).argmin(1)  # all seeds if `choosing` is 0
        table = loss[: total - choosing, np.arange(6), best]
        found = compare(table, candidates=6 * values if method == "counted" else 0)
        assert found
        true = means[np.arange(6), best]
        wrong += (found.significant & (found.gap * (true - true[found.reference]) <= 0)).any()
        told += (found.significant & worse).sum()
    return wrong / count, told / count / 3


def until(count: int, settings: int, width: float, level: float) -> float:
    """Seeds are added until no interval is wider than ± `width`, in standard deviations of a paired gap."""
    random, wrong = np.random.default_rng(9), 0
    for _ in range(count):
        table = random.standard_normal((100, settings)) / math.sqrt(2)
        for seeds in looks_of(100):
            found = compare(table[:seeds], level=level)
            assert found
            if np.nanmax(found.high - found.gap) <= width:
                break
        wrong += found.significant.any()
    return wrong / count


def unlucky_runs_diverge(count: int, seeds: int) -> float:
    """The worst fifth of the runs of one setting diverges."""
    random, wrong = np.random.default_rng(3), 0
    for _ in range(count):
        rows = grid(random, 5, 1, seeds)
        for row in rows:
            if row["a"] == 0 and row["loss/val"] > 0.8:
                row |= {"status": "diverged", "loss/val": math.nan}
        wrong += claims(report(rows, ["a", "seed"]))
    return wrong / count


def exploded(count: int, seeds: int) -> float:
    """One of six settings ends with losses of 1e12 without divergence. Claims about it are true."""
    random, wrong = np.random.default_rng(6), 0
    for _ in range(count):
        rows = grid(random, 6, 1, seeds)
        for row in rows:
            row["loss/val"] = row["loss/val"] * (1e12 if row["a"] == 5 else 1) + (row["a"] == 5) * 1e13
        found = report(rows, ["a", "seed"])
        wrong += any(row.significant for row in found.rows if row.setting.keys != {"a": 5})
    return wrong / count


def interrupted(count: int, seeds: int) -> float:
    """Of the first setting 4 % of the runs are missing, of the fifth 20 %."""
    random, wrong = np.random.default_rng(4), 0
    for _ in range(count):
        rows = [row for row in grid(random, 5, 1, seeds) if random.random() > 0.2 / 5 * (row["a"] + 1)]
        wrong += claims(report(rows, ["a", "seed"]))
    return wrong / count


def looks(count: int, plan: tuple[int, ...]) -> float:
    """Seeds are added and the report is repeated until there is a claim."""
    random, wrong = np.random.default_rng(5), 0
    for _ in range(count):
        table = random.standard_normal((plan[-1], 5))
        found = (compare(table[:seeds]) for seeds in plan)
        wrong += any(each and each.significant.any() for each in found)
    return wrong / count


REPORTS = {
    **{f"--by one of two keys, {n} seeds": partial(by_one_key, seeds=n) for n in (3, 5, 10)},
    **{f"--by with a hole in the grid, {n} seeds": partial(by_one_key, seeds=n, hole=True) for n in (5, 10)},
    **{f"--best of 10 values, {n} seeds": partial(best_of_many, values=10, seeds=n) for n in (5, 10)},
    **{
        f"--best of 10 values is the baseline, {n} seeds": partial(
            best_of_many, values=10, seeds=n, baseline=True
        )
        for n in (5, 10)
    },
    **{f"tune over 10 values, {n} seeds": partial(tuned, values=10, seeds=n) for n in (3, 5, 10)},
    **{f"unlucky runs diverge, {n} seeds": partial(unlucky_runs_diverge, seeds=n) for n in (5, 10)},
    **{f"one setting explodes, {n} seeds": partial(exploded, seeds=n) for n in (3, 5)},
    **{f"interrupted, {n} seeds": partial(interrupted, seeds=n) for n in (3, 5, 10)},
    **{
        f"until ± {width:g} SD, {settings} settings": partial(
            until, settings=settings, width=width, level=STOPPED_LEVEL
        )
        for settings in (2, 3, 10)
        for width in (1.2, 0.8, 0.5)
    },
    "looks until ± 0.8 SD, 2 settings, with intervals of 95 %": partial(
        until, settings=2, width=0.8, level=LEVEL
    ),
    "looks at 5, 10 seeds": partial(looks, plan=(5, 10)),
    "looks at 5, 10, 20, 40 seeds": partial(looks, plan=(5, 10, 20, 40)),
}


# How each setting's best value is chosen, and how this is shown.
METHODS = {
    "counted": "on the same seeds, all candidates counted",
    "three": "on 3 of the seeds",
    "half": "on half of the seeds",
    "others": "on 3 other seeds (`tune`)",
}
PLANS = [(3, 10, 1.5), (3, 20, 1.0), (10, 10, 1.5), (10, 20, 1.0)]  # values, seeds, gap


def choice_name(plan: tuple[int, int, float], method: str) -> str:
    values, seeds, gap = plan
    return f"best of {values} values, {seeds} seeds, gap {gap:g}, {method}"


CHOICES = {
    choice_name((v, n, gap), method): partial(at_best, method=method, values=v, seeds=n, gap=gap)
    for v, n, gap in PLANS
    for method in METHODS
}
