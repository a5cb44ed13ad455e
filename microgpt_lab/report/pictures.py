"""Choose the further pictures of a report, and describe each: over a quantity, of all pairs, of two keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from microgpt_lab.errors import UserError
from microgpt_lab.report.analysis import Analysis
from microgpt_lab.report.choice import without
from microgpt_lab.report.comparison import FEWEST
from microgpt_lab.report.figures.heatmap import draw_heatmap
from microgpt_lab.report.figures.matrix import MOST_PAIRED, MOST_WITH_INTERVALS, draw_pairs
from microgpt_lab.report.figures.scaling import MOST_LINES, draw_scaling, line_name
from microgpt_lab.report.pairs import MOST_SETTINGS, compare_pairs
from microgpt_lab.report.powerlaw import Law
from microgpt_lab.report.scaling import Line, Scaling, scaling
from microgpt_lab.report.wording import decimals

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Picture:
    """A picture of a report: its file, a title, a caption, notes, and the data for report.json."""

    file: str
    title: str
    caption: str
    svg: str
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


FILES = ("report-x.svg", "report-pairs.svg", "report-heatmap.svg")


def pictures(analysis: Analysis, frame: pandas.DataFrame) -> list[Picture]:
    """The pictures that the question asks for, and a heat map if two keys were swept."""
    found = []
    if analysis.question.x:
        found.append(over_x(analysis, scaling(analysis, frame)))
    if analysis.question.pairs:
        found.append(of_pairs(analysis))
    if svg := draw_heatmap(analysis):
        caption = (
            f"The mean of {analysis.question.metric} over seeds; a deeper colour is better. Framed: "
            f"{analysis.reference_name}. A dot: not distinguishable from {analysis.reference_name}. Hatched: "
            "runs diverged or failed. A dash: unfinished."
        )
        found.append(Picture(FILES[2], " × ".join(without(analysis.keys, analysis.chosen)), caption, svg))
    return found


def over_x(analysis: Analysis, found: Scaling) -> Picture:
    metric = analysis.question.metric
    caption = (
        "Band or bar: the 95 % interval of each mean alone, over seeds (Student's t). Whether two overlap "
        "says nothing about their gap, because they share seeds. Dashed: fitted power laws."
    )
    if len(found.lines) > MOST_LINES:
        caption += f" The first {MOST_LINES} of {len(found.lines)} lines."
    seeds = len(found.lines[0].table)
    notes = [describe(line, found.x, metric) for line in found.lines]
    if any(isinstance(line.law, Law) for line in found.lines):
        notes.append(
            f"Intervals of exponents are 95 % each, by the jackknife over the {seeds} seeds. They have the "
            "noise of seeds; they do not say whether the law holds beyond these points."
        )
    data = {"x": found.x, "along": found.along, "lines": [line_data(line) for line in found.lines]}
    return Picture(
        FILES[0], f"{metric} over {found.x}", caption, draw_scaling(found, metric), notes, {"x": data}
    )


def describe(line: Line, x: str, metric: str) -> str:
    """The fitted law of a line, or why there is none."""
    name = f"{line_name(line)}: " if line.keys else ""
    law = line.law
    if isinstance(law, str):
        return f"{name}{law}." if name else f"{law[0].upper()}{law[1:]}."
    (low, high), power = law.interval, f"{law.scale:.3g} · {x}^({-law.exponent:.3g})".replace("-", "−")
    exponent = f"exponent {law.exponent:.3g} ({low:.3g} to {high:.3g})"
    if law.floor_interval is None:
        return (
            f"{name}{metric} = {power}, {exponent}. These points do not determine a limit L∞, so this law "
            f"holds only between {line.x.min():,.10g} and {line.x.max():,.10g}."
        )
    lowest, highest = law.floor_interval
    limit = f"{law.floor:.3f} ({lowest:.3f} to {highest:.3f})"
    return f"{name}{metric} = {law.floor:.3f} + {power}, {exponent}, limit L∞ {limit}."


def line_data(line: Line) -> dict[str, Any]:
    half, law = line.half_width, line.law
    intervals = None if half is None else [[m - h, m + h] for m, h in zip(line.mean.tolist(), half.tolist())]
    fitted = {"law": None, "reason": law} if isinstance(law, str) else {"law": vars(law)}
    return {
        "setting": line.keys,
        "x": line.x.tolist(),
        "mean": line.mean.tolist(),
        "intervals": intervals,
        "seeds": len(line.table),
    } | fitted


def of_pairs(analysis: Analysis) -> Picture:
    """The matrix of all pairs. UserError if there are too few seeds or too many settings."""
    rows, comparison = analysis.compared, analysis.comparison
    family = comparison.family if comparison else len(rows)
    if family > MOST_SETTINGS:
        which = "settings" if family == len(rows) else "candidates of --best"
        raise UserError(
            f"--pairs compares at most {MOST_SETTINGS} {which}, not {family}: name fewer keys with --by"
        )
    table = analysis.sign * analysis.table()
    pairs = compare_pairs(table, family, comparison.level) if comparison else None
    if pairs is None or comparison is None:
        seeds = len(rows[0].figures) if rows else 0
        raise UserError(f"--pairs needs at least 2 settings and {FEWEST} seeds, not {len(rows)} and {seeds}")
    caption = (
        "By how much the row is worse than the column, best first. Red and bold: claimed. The 95 % intervals "
        f"hold for all {len(rows) * (len(rows) - 1) // 2:,} pairs at once."
    )
    if len(rows) > MOST_WITH_INTERVALS:
        caption += " They are in report.json."
    if len(rows) > MOST_PAIRED:
        caption += f" The first {MOST_PAIRED} of {len(rows)} settings."
    data = [
        {
            "setting": row.setting.keys,
            "against": other.setting.keys,
            "gap": float(pairs.gap[row.column, other.column]),
            "interval": [float(end[row.column, other.column]) for end in (pairs.low, pairs.high)],
            "p": float(pairs.p[row.column, other.column]),
            "significant": bool(pairs.significant[row.column, other.column]),
        }
        for i, row in enumerate(rows)
        for other in rows[:i]
    ]
    claimed = sum(pair["significant"] for pair in data)
    notes = [f"Of all {len(data)} pairs of settings, {claimed} have a claimed gap."]
    svg = draw_pairs(pairs, rows, decimals(comparison), analysis.chosen)
    return Picture(FILES[1], "All pairs", caption, svg, notes, {"pairs": data})
