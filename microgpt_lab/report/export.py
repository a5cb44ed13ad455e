"""Write the runs of a sweep as report.csv, and the table of its settings as report.tex."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.errors import UserError
from microgpt_lab.report import wording
from microgpt_lab.report.analysis import Analysis, Row

if TYPE_CHECKING:
    import pandas

LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "*": "{*}",  # at the start of a row, they would be an option of the line above
}  # fmt: skip


def export_csv(frame: pandas.DataFrame, sweep: Path) -> Path:
    """Write a row per run: its folder, the swept keys, status and all metrics, with all digits."""
    swept = frame.attrs["swept"]
    table = frame[[*swept, *(name for name in frame if name not in swept)]]
    return write_file(sweep / "report.csv", table.to_csv(lineterminator="\n"))


def export_latex(analysis: Analysis, sweep: Path) -> Path:
    r"""Write the table as a `tabular` for \input, with booktabs: means, deviations, gaps, intervals, p."""
    digits = wording.decimals(analysis.comparison) if analysis.comparison else 4
    reference = escape(analysis.reference_name)
    metric, keys = escape(analysis.question.metric), [escape(key) for key in analysis.keys]
    heading = [*keys, metric, "sd", "seeds", f"gap to {reference}", r"95\,\% interval", "$p$"]
    rows = [
        [*map(escape, map(str, row.setting.keys.values())), *numbers(row, digits)] for row in analysis.rows
    ]
    seeds = f"{analysis.comparison.seeds} seeds" if analysis.comparison else "too few seeds for intervals"
    lines = [
        rf"% \usepackage{{booktabs}}; gaps are paired by seed, intervals simultaneous ({seeds})",
        rf"\begin{{tabular}}{{{'l' * len(keys)}rrrrrr}}",
        r"\toprule",
        " & ".join(heading) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return write_file(sweep / "report.tex", "\n".join(lines) + "\n")


def numbers(row: Row, digits: int) -> list[str]:
    """The cells of a row after its keys; a gap that is claimed is bold."""

    def number(value: Any, places: int = digits) -> str:
        return "" if value is None else f"${value:.{places}f}$" if abs(value) < 1e6 else f"${value:.3g}$"

    gap = number(row.gap)
    return [
        number(row.mean, 4),
        number(row.deviation, 4),
        str(len(row.figures)),
        rf"$\mathbf{{{gap.strip('$')}}}$" if row.significant else gap,
        "" if row.low is None else f"{number(row.low)} to {number(row.high)}",
        "" if row.p is None else f"${row.p:.2g}$" if row.p >= 0.0002 else "$<0.0002$",
    ]


def escape(text: str) -> str:
    """Escape the characters that LaTeX reads as markup."""
    return re.sub(r"[\\{}$&#_%~^<>|[*]", lambda found: LATEX[found[0]], text)


def write_file(path: Path, text: str) -> Path:
    if path.is_dir() and not path.is_symlink():
        raise UserError(f"{path} is a folder: the report cannot be written there")
    path.unlink(missing_ok=True)  # replace a link instead of writing to its target
    path.write_text(text, encoding="utf-8")
    return path
