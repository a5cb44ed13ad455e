"""Analyse a sweep: everything that a report says, by the names that its templates use."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.report import wording
from microgpt_lab.report.alignment import Alignment
from microgpt_lab.report.comparison import Comparison, compare
from microgpt_lab.report.settings import Runs, Setting, at_best, direction, group
from microgpt_lab.sweeps.table import last, scalar

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Question:
    """What a report is asked: see `python -m microgpt_lab report --help`."""

    metric: str = "loss/val"
    by: str = ""
    best: str = ""
    against: str = ""
    gap: float | None = None


@dataclass
class Row:
    """A setting in the report. `column` is its place in the aligned table, if it is compared."""

    setting: Setting
    index: int
    figures: list[float]  # one a seed
    column: int | None
    verdict: str
    low: float | None = None
    high: float | None = None
    gap: float | None = None
    p: float | None = None
    significant: bool = False

    @property
    def mean(self) -> float | None:
        return float(np.mean(self.figures)) if self.figures else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds."""
        return float(np.std(self.figures, ddof=1)) if len(self.figures) > 1 else None


@dataclass
class Analysis:
    """A sweep's rows, best first, those that are compared before the others; and what they rest on."""

    question: Question
    keys: list[str]
    runs: Runs
    aligned: Alignment
    baseline: int | None
    comparison: Comparison | None
    rows: list[Row]
    notes: list[str]

    @property
    def sign(self) -> int:
        """-1 where higher figures are better; a gap above 0 is always worse."""
        return direction(self.question.metric)

    @property
    def compared(self) -> list[Row]:
        return [row for row in self.rows if row.column is not None]

    @property
    def reference(self) -> Row | None:
        """The row that others are compared with: the baseline, or else the best."""
        column = self.comparison.reference if self.comparison else self.baseline
        return next((row for row in self.compared if column in (None, row.column)), None)

    @property
    def kind(self) -> str:
        return "the best row" if self.baseline is None else "the baseline"

    def table(self) -> Any:
        """The aligned figures: (seeds, settings)."""
        return self.aligned.table(self.runs.values)


def analyse(frame: pandas.DataFrame, question: Question, sweep: Path) -> Analysis:
    """Rank and compare the settings of a sweep (`load_sweep`). UserError for a question it cannot answer."""
    frame, by = checked(readable(frame), question, sweep)
    candidates = 0
    if question.best:
        frame, candidates = at_best(frame, question.metric, question.best)
    runs = group(frame, question.metric, by)
    aligned = runs.align()
    columns = np.flatnonzero(aligned.settings).tolist()
    sign = direction(question.metric)
    baseline = chosen(runs, aligned, question.against) if question.against else None
    table = sign * aligned.table(runs.values)
    comparison = compare(table, baseline, candidates)
    rows = [row(runs, aligned, comparison, columns, i) for i in range(len(runs.settings))]
    rows.sort(key=lambda r: (r.column is None, r.mean is None, sign * (r.mean or 0.0)))
    notes = [*common(runs, aligned)]
    if comparison:
        notes += wording.notes(comparison, question.best, candidates)
        notes += [wording.gap_note(comparison, question.gap)] if question.gap else []
    elif len(rows) > 1:
        notes.append(wording.too_few(int(aligned.seeds.sum()), len(columns)).capitalize() + ".")
    found = Analysis(question, list(by), runs, aligned, baseline, comparison, rows, notes)
    if found.reference and len(found.rows) > 1:
        found.reference.verdict = found.kind
    return found


def readable(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The runs of which it is known what they were: a damaged folder may not even tell its overrides."""
    swept = frame.attrs["swept"]
    lost = (frame["status"] == "damaged") & (frame[swept].isna().all(axis=1))
    kept = frame[~lost]
    kept.attrs = frame.attrs
    return cast("pandas.DataFrame", kept)


def checked(frame: pandas.DataFrame, question: Question, sweep: Path) -> tuple[pandas.DataFrame, list[str]]:
    """The frame with the metric as a column, and the keys that settings are told apart by."""
    metric, swept = question.metric, frame.attrs["swept"]
    if metric not in frame:
        attrs = frame.attrs
        frame = frame.assign(**{metric: [last(sweep / run, metric) for run in frame.index]})
        frame.attrs = attrs
    figures = [name for name in frame.select_dtypes("number") if name not in swept]
    if metric not in figures or not len(frame[metric].dropna()):
        statuses = ", ".join(f"{n} {status}" for status, n in frame["status"].value_counts().items())
        raise UserError(f"no run has '{metric}' ({statuses}){suggest(metric, figures)}")
    keys = [key for key in swept if key != "seed"]
    wanted = [key for key in question.by.split(",") if key]
    for key in [question.best, *wanted]:
        if key and key not in keys:
            raise UserError(f"'{key}' was not swept{suggest(key, keys)}")
    if question.best in wanted:
        raise UserError(
            f"--best {question.best} chooses the value that --by would tell apart: leave it out of --by"
        )
    if question.gap is not None and not 0 < question.gap < float("inf"):
        raise UserError(f"--gap must be above 0, not {question.gap}")
    return frame, [key for key in keys if key in wanted] if wanted else keys


def chosen(runs: Runs, aligned: Alignment, against: str) -> int:
    """The column of the setting that `key=value,…` describes."""
    wanted = {key: scalar(value) for key, _, value in (part.partition("=") for part in against.split(","))}
    fitting = [
        i
        for i, setting in enumerate(runs.settings)
        if all(same(setting.keys.get(key), value) for key, value in wanted.items())
    ]
    if len(fitting) != 1:
        names = [runs.settings[i].name.replace(", ", ",") for i in fitting or range(len(runs.settings))]
        raise UserError(
            f"--against {against} describes {len(fitting)} rows, not one; there is {', '.join(names[:6])}"
        )
    if not aligned.settings[fitting[0]]:
        reason = excluded(runs, fitting[0])
        raise UserError(f"--against {against} cannot be the baseline: {reason}")
    return int(aligned.settings[: fitting[0]].sum())


def same(value: Any, said: Any) -> bool:
    """Whether a value is the one that the command line says: YAML takes 1e-3 for a text, and None is none."""
    with contextlib.suppress(TypeError, ValueError):
        return float(value) == float(said)
    return str(value) == str(said)


def excluded(runs: Runs, index: int) -> str:
    values = runs.values[index]
    return wording.left_out(runs.settings[index], int(np.isfinite(values).sum()), values.size)


def row(runs: Runs, aligned: Alignment, comparison: Comparison | None, columns: list[int], index: int) -> Row:
    setting = runs.settings[index]
    if index not in columns:
        # What a failed setting's other seeds came to is no fair sample, and not shown.
        values = [] if setting.failed else runs.values[index]
        figures = [float(np.nanmean(v)) for v in np.transpose(values) if np.isfinite(v).any()]
        return Row(setting, index, figures, None, excluded(runs, index))
    column = columns.index(index)
    figures = aligned.table(runs.values)[:, column].tolist()
    if comparison is None:
        return Row(setting, index, figures, column, wording.too_few(len(figures), len(columns)))
    found = Row(setting, index, figures, column, wording.verdict(comparison, column))
    if column != comparison.reference:
        found.gap, found.low, found.high, found.p = (
            float(x[column]) for x in (comparison.gap, comparison.low, comparison.high, comparison.p)
        )
        found.significant = bool(comparison.significant[column])
    return found


def common(runs: Runs, aligned: Alignment) -> list[str]:
    """Say what is compared where it is not all there is."""
    if not aligned.settings.any():
        return []
    seeds, all_seeds = int(aligned.seeds.sum()), len(runs.seeds)
    combinations, all_combinations = int(aligned.combinations.sum()), len(runs.combinations)
    found = []
    if seeds < all_seeds:
        found.append(f"{seeds} of {all_seeds} seeds")
    if combinations < all_combinations:
        found.append(f"{combinations} of {all_combinations} combinations of the other keys")
    return (
        [f"Like with like: over the {' and the '.join(found)} that all compared rows have."] if found else []
    )
