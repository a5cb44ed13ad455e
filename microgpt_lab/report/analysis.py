"""Analyse a sweep: rank its settings, compare them, and collect the notes of the report."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options.comparable import differ_in_tokenizer
from microgpt_lab.options.overrides import parse_value
from microgpt_lab.report import wording
from microgpt_lab.report.alignment import Alignment
from microgpt_lab.report.choice import at_best, at_chosen
from microgpt_lab.report.comparison import LEVEL, STOPPED_LEVEL, Comparison, compare
from microgpt_lab.report.settings import Runs, Setting, direction, group
from microgpt_lab.sweeps.rounds import Rounds, read_rounds
from microgpt_lab.sweeps.table import curve, mean_of_last_steps

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Question:
    """The options of a report: see `python -m microgpt_lab report --help`.

    metric: '' for the validation loss, in bits per character where tokenizers differ.
    """

    metric: str = ""
    by: str = ""
    best: str = ""
    against: str = ""
    gap: float | None = None
    x: str = ""
    pairs: bool = False


@dataclass
class Row:
    """A setting in the report. `column` is its column in the aligned table; None if it is not compared."""

    setting: Setting
    index: int
    figures: list[float]  # the metric, a value per seed
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
    def half_width(self) -> float | None:
        """Half the width of the interval; None without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds."""
        return float(np.std(self.figures, ddof=1)) if len(self.figures) > 1 else None


@dataclass
class Analysis:
    """The rows of a report, best first, with the data they come from. Rows that are not compared are last.

    used_seeds: the seeds of all runs of the sweep, compared or not.
    rounds: how the sweep chose values and seeds.
    chosen: the keys at whose best value each row is shown; they are among `keys`, unless --by names others.
    same_tokenizer: whether all runs have the same tokenizer.
    """

    question: Question
    keys: list[str]
    runs: Runs
    aligned: Alignment
    baseline: int | None
    comparison: Comparison | None
    rows: list[Row]
    notes: list[str]
    used_seeds: list[Any]
    rounds: Rounds
    chosen: list[str]
    same_tokenizer: bool = True

    @property
    def sign(self) -> int:
        """-1 if higher values of the metric are better, else 1. A gap above 0 is always worse."""
        return direction(self.question.metric)

    @property
    def compared(self) -> list[Row]:
        return [row for row in self.rows if row.column is not None]

    @property
    def reference(self) -> Row | None:
        """The row with which all rows are compared: the baseline, or else the best row."""
        column = self.comparison.reference if self.comparison else self.baseline
        return next((row for row in self.compared if column in (None, row.column)), None)

    @property
    def reference_name(self) -> str:
        return "the best row" if self.baseline is None else "the baseline"

    def table(self) -> Any:
        """The aligned values of the metric: (seeds, settings)."""
        return self.aligned.table(self.runs.values)


def analyse(frame: pandas.DataFrame, question: Question, sweep: Path) -> Analysis:
    """Rank and compare the settings of a sweep (`load_sweep`). UserError if the sweep cannot answer."""
    tokenizer = frame.attrs["fixed"].get("tokenizer", "char")  # runs of older versions have no such key
    same_tokenizer = not differ_in_tokenizer(differing(frame), tokenizer)
    if not question.metric:
        question = replace(question, metric="loss/val" if same_tokenizer else "bits_per_char/val")
    rounds, sources = read_rounds(sweep) if sweep else Rounds(), frame.attrs.get("sources", {})
    used_seeds = list(frame["seed"]) if "seed" in frame else []
    frame, by = check_question(identified(frame), question, rounds.tune, sweep)
    choices = [at_chosen(frame, rounds)] if rounds.tune else []
    if question.best and question.best not in rounds.tune:
        choices.append(at_best(choices[0].frame if choices else frame, question.metric, question.best))
    if choices:
        frame = choices[-1].frame
    chosen = [key for choice in choices for key in choice.keys]
    runs = group(frame, question.metric, by)
    aligned = runs.align()
    columns = np.flatnonzero(aligned.settings).tolist()
    sign = direction(question.metric)
    baseline = baseline_column(runs, aligned, question.against) if question.against else None
    table = sign * aligned.table(runs.values)
    level = STOPPED_LEVEL if rounds.until else LEVEL
    comparison = compare(table, baseline, choices[-1].candidates if choices else 0, level)
    rows = [make_row(runs, aligned, comparison, columns, i) for i in range(len(runs.settings))]
    rows.sort(key=lambda r: (r.column is None, r.mean is None, sign * (r.mean or 0.0)))
    notes = alignment_notes(runs, aligned) + objective_notes(frame, question.metric, sweep)
    notes += wording.sources_notes(sources, frame.dropna(subset=[question.metric]).index)
    if comparison:
        notes = [*wording.answer(comparison), *notes, *wording.notes(comparison)]
        notes += [note for choice in choices for note in wording.choice_notes(choice)]
        notes += [wording.rounds_note(rounds, comparison)] if rounds.until else []
        notes += [wording.power_note(comparison)] if comparison.typical_noise > 0 else []
        notes += [wording.gap_note(comparison, question.gap)] if question.gap else []
    elif len(rows) > 1:
        notes.append(wording.too_few(int(aligned.seeds.sum()), len(columns)).capitalize() + ".")
    if not same_tokenizer and (note := wording.tokenizers_note(question.metric)):
        notes.insert(0, note)
    facts = (runs, aligned, baseline, comparison, rows, notes, used_seeds, rounds, chosen, same_tokenizer)
    analysis = Analysis(question, list(by), *facts)
    if analysis.reference and len(analysis.rows) > 1:
        analysis.reference.verdict = analysis.reference_name
    return analysis


def identified(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Drop damaged runs whose setting is unknown, because their overrides are unreadable."""
    swept = frame.attrs["swept"]
    unknown = (frame["status"] == "damaged") & (frame[swept].isna().all(axis=1))
    known = frame[~unknown]
    known.attrs = frame.attrs
    return cast("pandas.DataFrame", known)


def check_question(
    frame: pandas.DataFrame, question: Question, tuned: list[str], sweep: Path
) -> tuple[pandas.DataFrame, list[str]]:
    """Return the frame with the metric as a column, and the keys whose values define a setting."""
    metric, swept = question.metric, frame.attrs["swept"]
    if metric not in frame:
        attrs = frame.attrs
        frame = frame.assign(**{metric: [mean_of_last_steps(sweep / run, metric) for run in frame.index]})
        frame.attrs = attrs
    of_config = {*swept, *frame.attrs.get("changed", ())}
    metrics = [name for name in frame.select_dtypes("number") if name not in of_config]
    if metric not in metrics or not len(frame[metric].dropna()):
        statuses = ", ".join(f"{n} {status}" for status, n in frame["status"].value_counts().items())
        raise UserError(f"no run has '{metric}' ({statuses}){suggest(metric, metrics)}")
    keys = [key for key in swept if key != "seed"]
    wanted = [key for key in question.by.split(",") if key]
    for key in [question.best, *wanted]:
        if key and key not in keys:
            raise UserError(f"'{key}' was not swept{suggest(key, keys)}")
    for key in (key for key in wanted if key in (question.best, *tuned)):
        chooser = "the sweep" if key in tuned else "--best"
        raise UserError(
            f"--by cannot compare values of {key} because {chooser} chooses one: leave it out of --by"
        )
    if question.gap is not None and not 0 < question.gap < float("inf"):
        raise UserError(f"--gap must be above 0, not {question.gap}")
    return frame, [key for key in keys if key in wanted] if wanted else keys


def baseline_column(runs: Runs, aligned: Alignment, against: str) -> int:
    """Return the column of the one setting that has the values `key=value,…`."""
    pairs = (part.partition("=") for part in against.split(","))
    wanted = {key: parse_value(value) if value else "" for key, _, value in pairs}
    matching = [
        i
        for i, setting in enumerate(runs.settings)
        if all(is_same(setting.keys.get(key), value) for key, value in wanted.items())
    ]
    if len(matching) != 1:
        names = [runs.settings[i].name.replace(", ", ",") for i in matching or range(len(runs.settings))]
        raise UserError(
            f"--against {against} matches {len(matching)} rows, not one: choose from {', '.join(names[:6])}"
        )
    if not aligned.settings[matching[0]]:
        reason = why_left_out(runs, matching[0])
        raise UserError(f"--against {against} cannot be the baseline: {reason}")
    return int(aligned.settings[: matching[0]].sum())


def is_same(value: Any, given: Any) -> bool:
    """Return whether a value equals one from the command line. YAML reads 1e-3 as text, equal to 0.001."""
    with contextlib.suppress(TypeError, ValueError):
        return float(value) == float(given)
    return str(value) == str(given)


def why_left_out(runs: Runs, index: int) -> str:
    values = runs.values[index]
    return wording.left_out(runs.settings[index], int(np.isfinite(values).sum()), values.size)


def make_row(
    runs: Runs, aligned: Alignment, comparison: Comparison | None, columns: list[int], index: int
) -> Row:
    setting = runs.settings[index]
    if index not in columns:
        # The surviving seeds of a failed setting are a biased sample, so that their mean is not shown.
        values = [] if setting.failed else runs.values[index]
        figures = [float(np.nanmean(v)) for v in np.transpose(values) if np.isfinite(v).any()]
        return Row(setting, index, figures, None, why_left_out(runs, index))
    column = columns.index(index)
    figures = aligned.table(runs.values)[:, column].tolist()
    if comparison is None:
        return Row(setting, index, figures, column, wording.too_few(len(figures), len(columns)))
    row = Row(setting, index, figures, column, wording.verdict(comparison, column))
    if column != comparison.reference:
        row.gap, row.low, row.high, row.p = (
            float(x[column]) for x in (comparison.gap, comparison.low, comparison.high, comparison.p)
        )
        row.significant = bool(comparison.significant[column])
    return row


def alignment_notes(runs: Runs, aligned: Alignment) -> list[str]:
    """Say which seeds and combinations are compared if some are left out."""
    if not aligned.settings.any():
        return []
    seeds, all_seeds = int(aligned.seeds.sum()), len(runs.seeds)
    combinations, all_combinations = int(aligned.combinations.sum()), len(runs.combinations)
    compared = []
    if seeds < all_seeds:
        compared.append(f"{seeds} of {all_seeds} seeds")
    if combinations < all_combinations:
        compared.append(f"{combinations} of {all_combinations} combinations of the other keys")
    if not compared:
        return []
    return [f"The comparison uses only the {' and the '.join(compared)} that all compared rows have."]


def objective_notes(frame: pandas.DataFrame, metric: str, sweep: Path) -> list[str]:
    """Say what a loss is, if training minimizes more than the cross-entropy in some runs."""
    if metric == "loss/train" and any(has_terms(sweep / run) for run in frame.index):
        return [wording.TRAINING_LOSS]
    if metric == "loss/val" and any(key.partition(".")[0] == "loss" for key in differing(frame)):
        return [wording.VALIDATION_LOSS]
    return []


def differing(frame: pandas.DataFrame) -> set[str]:
    """Return the keys in which runs differ: the swept ones, and those that the sweep's changes set."""
    return {*frame.attrs["swept"], *frame.attrs.get("changed", ())}


def has_terms(run: Path) -> bool:
    """Return whether training minimizes more than the cross-entropy."""
    return curve(run, "loss/ce") != curve(run, "loss/train")
