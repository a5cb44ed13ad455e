"""`python -m microgpt_lab report SWEEP`: which settings are worse than the best, and by how much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import RUN, Parser
from microgpt_lab.errors import UserError
from microgpt_lab.registry.extras import install_module
from microgpt_lab.sweeps import find
from microgpt_lab.sweeps.table import load_sweep
from microgpt_lab.terminal import terminal

if TYPE_CHECKING:
    import pandas

    from microgpt_lab.report.analysis import Analysis

WIDE = 100  # columns, below which the table leaves parameters and seconds out


def main(arguments: list[str]) -> int:
    parser = Parser("report", description="Compare the settings of a sweep over its seeds.")
    parser.add_argument("sweep", nargs="?", default=find.LAST, metavar="SWEEP", help=RUN)
    parser.add_argument("--metric", default="loss/val", help="what to compare (default: %(default)s)")
    parser.add_argument(
        "--by", metavar="KEYS", default="", help="tell only these swept keys apart: layers,embed"
    )
    parser.add_argument(
        "--best", metavar="KEY", default="", help="show each setting at its best value of this key"
    )
    parser.add_argument(
        "--against",
        metavar="KEY=VALUE,…",
        default="",
        help="a baseline, named before the runs (default: the best row)",
    )
    parser.add_argument("--gap", type=float, help="say how many seeds would tell a gap of this size")
    options = vars(parser.parse_args(arguments))
    sweep = find.sweep(options.pop("sweep"))
    try:
        frame = load_sweep(sweep)
        from microgpt_lab.report.analysis import Question, analyse
        from microgpt_lab.report.pages import write

        found = analyse(frame, Question(**options), sweep)
        files = write(found, frame, sweep)
    except ModuleNotFoundError as error:
        raise UserError(f"report needs {error.name}: {install_module(error.name or 'pandas')}") from None
    show(found, frame, sweep)
    print(f"written: {', '.join(map(str, files))}")
    return 0


def show(found: Analysis, frame: pandas.DataFrame, sweep: Path) -> None:
    """Print the table and its notes."""
    from microgpt_lab.report.pages import page

    facts = page(found, frame, sweep)
    console = terminal(200)
    console.print(f"[bold]{escape(facts['title'])}[/]  {escape(facts['counts'])}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    for key in facts["keys"]:
        table.add_column(escape(key), style="cyan")
    headings = (facts["metric"], "sd", "seeds", "params", "s/run")[: 5 if console.width >= WIDE else 3]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(escape(facts["compared_with"]))
    for r in facts["rows"]:
        numbers = (f"[bold]{r['mean']}[/]", r["deviation"], r["seeds"], r["parameters"], r["seconds"])
        style = "dim" if r["style"] == "aside" else ""
        table.add_row(
            r["place"], *map(escape, r["keys"]), *numbers[: len(headings)], escape(r["verdict"]), style=style
        )
    console.print(table)
    for note in facts["notes"]:
        console.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
    for line in facts["troubles"]:
        console.print(f"[red]without a result[/] {escape(line)}", soft_wrap=True)
