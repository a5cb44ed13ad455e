"""`python -m microgpt_lab report SWEEP`: compare the settings of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import RUN, Parser
from microgpt_lab.errors import UserError
from microgpt_lab.listing import find
from microgpt_lab.registry.extras import install_module
from microgpt_lab.sweeps.table import load_sweep
from microgpt_lab.terminal import print_table, terminal

if TYPE_CHECKING:
    import pandas

    from microgpt_lab.report.analysis import Analysis

WIDE = 97  # columns beside those of the swept keys; a narrower terminal gets no sizes and seconds
WIDEST = 48  # columns of a swept key, beyond which its values are wrapped


def main(arguments: list[str]) -> int:
    parser = Parser("report", description="Compare the settings of a sweep over its seeds.")
    parser.add_argument("sweep", nargs="?", default=find.LAST, metavar="SWEEP", help=RUN)
    parser.add_argument(
        "--metric",
        default="",
        help="the metric to compare (default: loss/val, or bits_per_char/val if the tokenizers differ)",
    )
    parser.add_argument(
        "--by",
        metavar="KEYS",
        default="",
        help="compare only these swept keys, and average over the others: layers,embed",
    )
    parser.add_argument(
        "--best", metavar="KEY", default="", help="show each setting at its best value of this key"
    )
    parser.add_argument(
        "--against",
        metavar="KEY=VALUE,…",
        default="",
        help="compare with this baseline, named before the runs (default: with the best row)",
    )
    parser.add_argument(
        "--gap", type=float, help="estimate how many seeds are needed to claim a gap of this size"
    )
    parser.add_argument(
        "--x",
        metavar="KEY",
        default="",
        help="draw the metric over parameters, flops, seconds, or a swept key with numbers; fit power laws",
    )
    parser.add_argument("--pairs", action="store_true", help="compare every setting with every other")
    parser.add_argument("--csv", action="store_true", help="write report.csv, a row per run")
    parser.add_argument("--latex", action="store_true", help="write report.tex, the table with intervals")
    options = vars(parser.parse_args(arguments))
    sweep = find.sweep_folder(options.pop("sweep"))
    csv, latex = options.pop("csv"), options.pop("latex")
    analysis, frame, files = compare(sweep, options)
    if csv or latex:
        from microgpt_lab.report.export import export_csv, export_latex

        files += [export_csv(frame, sweep)] if csv else []
        files += [export_latex(analysis, sweep)] if latex else []
    show(analysis, frame, sweep)
    print(f"written: {', '.join(file.name for file in files)} in {sweep}")
    return 0


def compare(sweep: Path, options: dict[str, Any]) -> tuple[Analysis, pandas.DataFrame, list[Path]]:
    """Compare the settings of a sweep and write the report. Return it, the runs, and the files.

    options: those of `Question`. UserError if they do not fit the sweep, or a package is missing.
    """
    try:
        frame = load_sweep(sweep)
        from microgpt_lab.report.analysis import Question, analyse
        from microgpt_lab.report.pages import write

        analysis = analyse(frame, Question(**options), sweep)
        return analysis, frame, write(analysis, frame, sweep)
    except ModuleNotFoundError as error:
        raise UserError(f"report needs {error.name}: {install_module(error.name or 'pandas')}") from None


def show(analysis: Analysis, frame: pandas.DataFrame, sweep: Path) -> None:
    """Print the table of the report and its notes."""
    from microgpt_lab.report.pages import page

    facts = page(analysis, frame, sweep)
    console = terminal(200)
    console.print(f"[bold]{escape(facts['title'])}[/]  {escape(facts['counts'])}", soft_wrap=True)
    print_table(console, table(facts, console.width))
    for note in facts["notes"]:
        console.print(f"[dim]{escape(note)}[/]", soft_wrap=not console.is_terminal)
    for line in facts["without_result"]:
        console.print(f"[red]without a result[/] {escape(line)}", soft_wrap=True)


def table(facts: dict[str, Any], width: int) -> Table:
    """Make the table of the report. With few columns of text, it has no sizes and seconds."""
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    for key in facts["keys"]:
        table.add_column(escape(key), style="cyan", max_width=WIDEST)
    headings = (facts["metric"], "sd", "seeds", "params", "FLOPs/token", "s/run")
    widths = [
        min(WIDEST, max(map(len, column))) + 2
        for column in zip(facts["keys"], *(row["keys"] for row in facts["rows"]))
    ]
    headings = headings if width >= sum(widths) + WIDE else headings[:3]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(escape(facts["compared_with"]), overflow="fold")
    for row in facts["rows"]:
        numbers = (
            f"[bold]{row['mean']}[/]",
            row["deviation"],
            row["seeds"],
            row["parameters"],
            row["flops"],
            row["seconds"],
        )
        style = "dim" if row["style"] == "aside" else ""
        table.add_row(
            row["rank"],
            *map(escape, row["keys"]),
            *numbers[: len(headings)],
            escape(row["verdict"]),
            style=style,
        )
    return table
