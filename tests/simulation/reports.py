"""Share of false claims in whole reports of simulated sweeps, with choices of the user and failed runs.

In each sweep, all settings are truly equal.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas

from microgpt_lab.report.analysis import Analysis, Question, analyse
from microgpt_lab.report.comparison import compare

Rows = list[dict[str, Any]]


def report(rows: Rows, swept: list[str], **question: Any) -> Analysis:
    frame = pandas.DataFrame([{"status": "ok"} | row for row in rows])
    frame.attrs["swept"] = swept
    return analyse(frame, Question(**question), None)  # type: ignore[arg-type]


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
    "--best of 10 values is the baseline, 5 seeds": partial(best_of_many, values=10, seeds=5, baseline=True),
    **{f"unlucky runs diverge, {n} seeds": partial(unlucky_runs_diverge, seeds=n) for n in (5, 10)},
    **{f"one setting explodes, {n} seeds": partial(exploded, seeds=n) for n in (3, 5)},
    **{f"interrupted, {n} seeds": partial(interrupted, seeds=n) for n in (3, 5, 10)},
    "looks at 5, 10 seeds": partial(looks, plan=(5, 10)),
    "looks at 5, 10, 20, 40 seeds": partial(looks, plan=(5, 10, 20, 40)),
}
