"""`python -m microgpt_lab experiments [check NAME]`: list the recipes, or check the results of one."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import KEY_VALUE, Parser
from microgpt_lab.errors import UserError, printable, suggest
from microgpt_lab.options.compose import compose
from microgpt_lab.options.files import read_text
from microgpt_lab.options.keys import recipes
from microgpt_lab.options.mistakes import check_twice
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read
from microgpt_lab.run.match import matched
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.table import curve
from microgpt_lab.terminal import format_duration, terminal


def main(arguments: list[str]) -> int:
    parser = Parser(
        "experiments",
        description="List the recipes, or check that a small run of one gives its expected results.",
    )
    parser.add_argument(
        "action", nargs="?", choices=["check"], help="run the check of a recipe instead of listing all"
    )
    parser.add_argument("name", nargs="?", help="the recipe to check")
    parser.add_argument(
        "overrides", nargs="*", metavar=KEY_VALUE, help="overrides for the check, such as dataset.path=FILE"
    )
    options = parser.parse_args(arguments)
    if options.action is None:
        return show()
    known = recipes()
    if options.name is None:
        raise UserError("check needs the name of a recipe")
    if options.name not in known:
        raise UserError(
            f"check needs the name of a recipe, not '{options.name}'{suggest(options.name, known)}"
        )
    return check(options.name, known[options.name], options.overrides)


def show() -> int:
    """Print the name, the question and the folder of each recipe, and how long it took its author."""
    console = terminal(200)
    table = Table(box=None, pad_edge=False)
    for heading in ("experiment=", "question", "time", "folder"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "experiment=")
    for name, folder in recipes().items():
        try:
            second_line = read_text(folder / "recipe.yaml").splitlines()[1:2]
            question = "".join(line[1:300].strip() for line in second_line)
            seconds = expected(folder).get("seconds")
            time = format_duration(seconds) if seconds else ""
        except UserError as error:
            question, time = f"damaged: {error}", ""
        name, question, path = (escape(printable(text)) for text in (name, question, str(folder)))
        table.add_row(f"[cyan]{name}[/]", question, time, f"[dim]{path}[/]")
    console.print(table)
    return 0


def expected(folder: Path) -> dict[str, Any]:
    """Read the expected results of a recipe; empty if it has none."""
    try:
        return read(folder / "expected.json")
    except FileNotFoundError:
        return {}


def check(name: str, folder: Path, overrides: list[str]) -> int:
    """Run a recipe with the overrides of its check, and compare. Return 1 if a figure differs, else 0."""
    wanted = expected(folder).get("check")
    if not wanted:
        raise UserError(f"{folder / 'expected.json'} has no 'check'")
    if not wanted.get("figures") and not wanted.get("steps"):
        raise UserError(f"{folder / 'expected.json'}: its 'check' has no figures and no losses by step")
    check_twice(overrides)
    overrides = [f"experiment={name}", *wanted.get("overrides", []), *overrides]
    config = matched(compose(overrides), overrides)
    config["callback"] = {"jsonl": {"name": "jsonl"}}
    with tempfile.TemporaryDirectory() as folder_name:
        run = Run(config, Path(folder_name) / name)
        summary = execute(run)
        if summary["status"] == "interrupted":
            return 130
        figures = {key: number(summary.get(key)) for key in wanted.get("figures", {})}
        losses = curve(run.folder, "loss/train")
    pairs = [(key, wanted["figures"][key], figure) for key, figure in figures.items()]
    pairs += [
        (f"loss at step {s}", loss, losses.get(int(s), math.nan))
        for s, loss in wanted.get("steps", {}).items()
    ]
    all_close, tolerance = True, wanted.get("tolerance", 1e-6)
    for name, value, figure in pairs:
        close = abs(figure - value) <= tolerance
        all_close = all_close and close
        mark = "✓" if close else "✗"
        print(f"{mark} {printable(name)} {figure:.6f}, expected {value:.6f} ± {tolerance:g}")
    return 0 if all_close else 1


def number(value: Any) -> float:
    """Return a figure as it is, and NaN for anything else."""
    return value if isinstance(value, (int, float)) else math.nan
