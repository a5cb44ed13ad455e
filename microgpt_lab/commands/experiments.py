"""`python -m microgpt_lab experiments [check NAME]`: the recipes, and whether one still gives its figures."""

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
from microgpt_lab.options.keys import experiments
from microgpt_lab.options.mistakes import check_twice
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.folder import format_duration
from microgpt_lab.sweeps.table import curve
from microgpt_lab.terminal import terminal


def main(arguments: list[str]) -> int:
    parser = Parser("experiments", description="List the recipes, or check one.")
    parser.add_argument("action", nargs="?", choices=["check"], help="run a small part of one")
    parser.add_argument("name", nargs="?", help="of the recipe to check")
    parser.add_argument("overrides", nargs="*", metavar=KEY_VALUE, help="such as dataset.path=FILE")
    options = parser.parse_args(arguments)
    if options.action is None:
        return show()
    known = experiments()
    if options.name is None:
        raise UserError("check needs the name of a recipe")
    if options.name not in known:
        raise UserError(
            f"check needs the name of a recipe, not '{options.name}'{suggest(options.name, known)}"
        )
    return check(options.name, known[options.name], options.overrides)


def show() -> int:
    """Name, question, and how long it took its author."""
    console = terminal(200)
    table = Table(box=None, pad_edge=False)
    for heading in ("experiment=", "question", "time", "folder"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "experiment=")
    for name, folder in experiments().items():
        try:
            second = read_text(folder / "recipe.yaml").splitlines()[1:2]
            question = "".join(line[1:300].strip() for line in second)
            seconds = expected(folder).get("seconds")
            time = format_duration(seconds) if seconds else ""
        except UserError as error:
            question, time = f"damaged: {error}", ""
        name, question, place = (escape(printable(shown)) for shown in (name, question, str(folder)))
        table.add_row(f"[cyan]{name}[/]", question, time, f"[dim]{place}[/]")
    console.print(table)
    return 0


def expected(folder: Path) -> dict[str, Any]:
    """What a recipe says of its figures, if it does."""
    try:
        return read(folder / "expected.json")
    except FileNotFoundError:
        return {}


def check(name: str, folder: Path, overrides: list[str]) -> int:
    """Run the recipe with the overrides of `check` in expected.json; status 1 if a figure is another."""
    wanted = expected(folder).get("check")
    if not wanted:
        raise UserError(f"{folder / 'expected.json'} has no 'check'")
    if not wanted.get("figures") and not wanted.get("steps"):
        raise UserError(f"{folder / 'expected.json'}: its 'check' has no figures and no losses by step")
    check_twice(overrides)
    config = compose([f"experiment={name}", *wanted.get("overrides", []), *overrides])
    config["callback"] = {"jsonl": {"name": "jsonl"}}
    with tempfile.TemporaryDirectory() as place:
        run = Run(config, Path(place) / name)
        summary = execute(run)
        if summary["status"] == "interrupted":
            return 130
        found = {key: figure(summary.get(key)) for key in wanted.get("figures", {})}
        losses = curve(run.folder, "loss/train")
    pairs = [(key, wanted["figures"][key], value) for key, value in found.items()]
    pairs += [
        (f"loss at step {s}", loss, losses.get(int(s), math.nan))
        for s, loss in wanted.get("steps", {}).items()
    ]
    good, tolerance = True, wanted.get("tolerance", 1e-6)
    for name, value, got in pairs:
        close = abs(got - value) <= tolerance
        good = good and close
        print(f"{'✓' if close else '✗'} {printable(name)} {got:.6f}, expected {value:.6f} ± {tolerance:g}")
    return 0 if good else 1


def figure(value: Any) -> float:
    return value if isinstance(value, (int, float)) else math.nan
