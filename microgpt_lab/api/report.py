"""The report of a sweep, as `python -m microgpt_lab report` prints it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from microgpt_lab.commands import report as command
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.inspection.rendering import to_html

if TYPE_CHECKING:
    import pandas

    from microgpt_lab.report.analysis import Analysis

WIDTH = 98  # columns
STYLE = "--ink: currentColor; --grid: rgba(128, 128, 128, .4); max-width: 800px"  # of the picture


@dataclass(frozen=True, repr=False)
class Report:
    """The comparison of a sweep's settings.

    analysis: its rows, with means, intervals and p-values.
    runs: the runs, a row each.
    files: what was written: report.html, for example.
    """

    analysis: Analysis
    runs: pandas.DataFrame
    folder: Path
    files: list[Path]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from microgpt_lab.report.pages import page

        facts = page(self.analysis, self.runs, self.folder)
        yield Text.assemble((facts["title"], "bold"), f"  {facts['counts']}")
        yield command.table(facts, options.max_width)
        yield from (Text(note, "dim") for note in facts["notes"])
        yield from (Text(f"without a result {line}", "red") for line in facts["without_result"])

    def __repr__(self) -> str:
        text = {"color_system": None, "force_terminal": False, "force_jupyter": False}
        console = Console(file=io.StringIO(), width=WIDTH, highlight=False, emoji=False, **text)
        with console.capture() as captured:
            console.print(self)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def _repr_html_(self) -> str:
        picture = next((file for file in self.files if file.name == "report.svg"), None)
        svg = picture.read_text(encoding="utf-8") if picture else ""
        return f'{to_html(self, WIDTH)}<div style="{STYLE}">{svg[svg.find("<svg") :] if svg else ""}</div>'


def compare(folder: Path, options: dict[str, Any]) -> Report:
    """Compare the settings of a sweep. UserError if the options do not fit, or a package is missing.

    The settings of matplotlib are those of before, because a notebook has its own.
    """
    known = ("metric", "by", "best", "against", "gap", "x", "pairs")
    if wrong := next((name for name in options if name not in known), None):
        raise UserError(f"report has no option '{wrong}'{suggest(wrong, known)}")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ModuleNotFoundError):
            import matplotlib

            stack.enter_context(matplotlib.rc_context())
        analysis, runs, files = command.compare(folder, options)
    return Report(analysis, runs, folder, files)
