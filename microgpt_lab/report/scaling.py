"""Collect the lines of a metric over a quantity of the runs: parameters, FLOPs, seconds, or a swept key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import stats

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.report.analysis import Analysis
from microgpt_lab.report.choice import without
from microgpt_lab.report.comparison import FEWEST, LEVEL
from microgpt_lab.report.powerlaw import Law, fit
from microgpt_lab.report.settings import group
from microgpt_lab.sweeps.changes import CHANGE

if TYPE_CHECKING:
    import pandas

MOVES = 1.25  # a key belongs to x if its values change x by this factor, while the other keys stay
METRIC = "metric of the report"  # a column that no sweep has


@dataclass(frozen=True)
class Line:
    """The settings with the same values of `keys`, by x: `x` (points), `table` (seeds, points).

    `law` is the fitted power law, or the reason why there is none.
    """

    keys: dict[str, Any]
    x: Any
    table: Any
    law: Law | str

    @property
    def mean(self) -> Any:
        return self.table.mean(0)

    @property
    def half_width(self) -> Any:
        """Half the 95 % interval of each mean over seeds (Student's t); None with too few seeds."""
        seeds = len(self.table)
        if seeds < FEWEST:
            return None
        return stats.t.ppf((1 + LEVEL) / 2, seeds - 1) * self.table.std(0, ddof=1) / np.sqrt(seeds)


@dataclass(frozen=True)
class Scaling:
    """The lines of a picture. `along` are the keys whose values are points of a line."""

    x: str
    along: list[str]
    lines: list[Line]


def scaling(analysis: Analysis, frame: pandas.DataFrame) -> Scaling:
    """Order the compared runs into lines over `question.x`. UserError if it does not vary."""
    x = analysis.question.x
    check(frame, x)
    runs = compared(analysis, frame)
    check(runs, x, "compared ")
    along = keys_along(runs, x)
    asked = [key for key in analysis.question.by.split(",") if key and key != x]
    across = asked or [key for key in runs.attrs["swept"] if key not in (*along, "seed")]
    along = [key for key in along if key not in across]
    grouped = group(runs, METRIC, [*across, *along])
    aligned = grouped.align()
    table = aligned.table(grouped.values)
    positions = np.nanmean(group(runs, x, [*across, *along]).values, axis=(1, 2))[aligned.settings]
    members: dict[tuple, list[int]] = {}
    for column, index in enumerate(np.flatnonzero(aligned.settings)):
        keys = grouped.settings[index].keys
        members.setdefault(tuple(keys[key] for key in across), []).append(column)
    lines = []
    for values, columns in members.items():
        columns = sorted(columns, key=lambda column: positions[column])
        at, losses = positions[columns], table[:, columns]
        lines.append(Line(dict(zip(across, values)), at, losses, fit(at, losses)))
    return Scaling(x, along, lines)


def check(frame: Any, x: str, which: str = "") -> None:
    """Raise UserError if `x` is no number of these runs (`load_sweep`), or the same in all."""
    numbers = [str(name) for name in frame.select_dtypes("number") if name not in ("seed", METRIC)]
    if x not in numbers:
        if x in frame.attrs["fixed"]:
            raise UserError(f"--x {x} does not vary: it is {frame.attrs['fixed'][x]} in all runs")
        problem = "is text" if x in frame and frame[x].notna().any() else "is not in these runs"
        problem = "is no quantity" if x == "seed" else problem
        raise UserError(f"--x {x} {problem}{suggest(x, [n for n in numbers if frame[n].nunique() > 1])}")
    values = frame[x].dropna()
    if values.nunique() < 2:
        value = f"{values.iloc[0]:,.10g}" if len(values) else "missing"
        raise UserError(f"--x {x} does not vary: it is {value} in all {which}runs")


def compared(analysis: Analysis, frame: pandas.DataFrame) -> pandas.DataFrame:
    """The runs whose values the report compares, with the metric as the column METRIC."""
    aligned, figures = analysis.aligned, {}
    for (setting, combination, seed), folders in analysis.runs.folders.items():
        if aligned.settings[setting] and aligned.combinations[combination] and aligned.seeds[seed]:
            figures |= dict.fromkeys(folders, analysis.runs.values[setting, combination, seed])
    if not figures:
        raise UserError(f"--x {analysis.question.x}: no runs can be compared")
    runs = cast("pandas.DataFrame", frame.loc[list(figures)]).assign(**{METRIC: list(figures.values())})
    runs.attrs = frame.attrs | {"swept": without(frame.attrs["swept"], analysis.chosen)}
    return runs


def keys_along(runs: pandas.DataFrame, x: str) -> list[str]:
    """The swept keys with numbers whose values change x while the others stay, such as embed for parameters.

    If x itself was swept: x, and the keys that have one value at each of its values. If no such key changes
    x, but the sweep has changes with one value of x each, such as sizes: the changes.
    """
    swept = [key for key in runs.attrs["swept"] if key != "seed"]
    numeric = [str(key) for key in runs.select_dtypes("number") if key in swept]
    if x in swept:
        by_x: Any = runs.groupby(x)
        return [x, *(key for key in numeric if key != x and by_x[key].nunique().max() == 1)]

    def moves(key: str) -> bool:
        others = [other for other in swept if other != key]
        means: Any = runs.groupby([*others, key], dropna=False)[x].mean()
        groups = means.groupby(level=others, dropna=False) if others else means.groupby(lambda _: 0)
        return bool((groups.max() / groups.min()).median() >= MOVES)

    if along := [key for key in numeric if moves(key)]:
        return along
    means: Any = runs.groupby(swept, dropna=False)[x].mean()
    of_changes = means.groupby(level=CHANGE) if CHANGE in swept else None
    has_one_value = of_changes is not None and (of_changes.max() <= MOVES * of_changes.min()).all()
    return [CHANGE] if has_one_value else []
