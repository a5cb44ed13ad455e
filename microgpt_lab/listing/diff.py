"""Compare two runs: configuration, parts' sources, versions, data, figures, losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from microgpt_lab.errors import UserError, printable
from microgpt_lab.options.overrides import different
from microgpt_lab.run.folder import Stored, is_run, read_metric, read_run
from microgpt_lab.run.resume import short
from microgpt_lab.sweeps.table import is_number
from microgpt_lab.terminal import terminal

Pairs = dict[str, tuple[Any, Any]]
DATA = ("documents", "documents_long", "documents_sha256")  # of environment.json
NO_FIGURES = ("config", "seconds", "resumed")  # of summary.json; equal runs may take other times


def show(one: Path, other: Path) -> None:
    """Print what differs, and the first step at which the losses part; or that all is equal."""
    for folder in (one, other):
        if not is_run(folder):
            raise UserError(f"there is no run at {folder}")
    found = {heading: pairs for heading, pairs in sections(read_run(one), read_run(other)).items() if pairs}
    equal, said = losses(one, other)
    console = terminal(200)
    for letter, folder in (("A", one), ("B", other)):
        console.print(Text.assemble((f"{letter}  ", "bold"), printable(str(folder))), soft_wrap=True)
    if found:
        console.print(table(found))
    elif equal:
        console.print("equal: configuration, parts' sources, versions, data and figures")
    console.print(Text(said), soft_wrap=True)


def sections(one: Stored, other: Stored) -> dict[str, Pairs]:
    """What differs, below headings. Of two different parts, the sources differ without saying anything."""
    environments = one.environment, other.environment
    sources, data, versions = ([pick(e) for e in environments] for pick in (source_of, data_of, version_of))
    figures = [{k: x for k, x in run.summary.items() if k not in NO_FIGURES} for run in (one, other)]
    found = {"configuration": different(one.config, other.config)}
    if all(environments):
        changed = different(*sources)
        found["sources"] = {key: pair for key, pair in changed.items() if key not in found["configuration"]}
        found["versions"], found["data"] = different(*versions), different(*data)
    elif any(environments):
        there = tuple("there" if environment else "missing" for environment in environments)
        found["environment.json"] = {"the file": (there[0], there[1])}
    return found | {"figures": different(*figures)}


def source_of(environment: dict[str, Any]) -> dict[str, Any]:
    """The hash of each part's file, by kind, and of the lab's own."""
    parts = environment.get("parts") or {}
    known = {kind: part.get("sha256") for kind, part in parts.items() if isinstance(part, dict)}
    return known | {"the lab": environment.get("core")}


def data_of(environment: dict[str, Any]) -> dict[str, Any]:
    return {key: environment.get(key) for key in DATA}


def version_of(environment: dict[str, Any]) -> dict[str, Any]:
    """Versions, and the machine."""
    return {key: x for key, x in environment.items() if key not in (*DATA, "parts", "core")}


def table(found: dict[str, Pairs]) -> Table:
    """A line a difference; of two numbers, by how much B is larger."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "A", "B", "B - A"):
        shown.add_column(heading, overflow="fold")
    for heading, pairs in found.items():
        shown.add_row(Text(heading, "bold"))
        for key, (a, b) in pairs.items():
            write = short if short(a) != short(b) else repr  # '16' is not 16
            gap = f"{b - a:+.4g}" if is_number(a) and is_number(b) else ""
            texts = ("-" if value is None else write(value) for value in (a, b))
            shown.add_row(Text(f"  {key}", "cyan"), *map(Text, texts), gap)
    return shown


def losses(one: Path, other: Path) -> tuple[bool, str]:
    """Whether the losses of all steps are equal to the bit, and a sentence that says where they part."""
    curves = []
    for folder in (one, other):
        try:
            curves.append(read_metric(folder / "metrics.jsonl", "loss/train"))
        except FileNotFoundError:
            curves.append({})
        except UserError as error:
            return False, printable(f"losses cannot be compared: {error}")
    a, b = curves
    if not a and not b:
        return True, "neither has losses by step (metrics.jsonl)"
    both = sorted(a.keys() & b.keys())
    counts = f"A has {len(a):,} steps, B {len(b):,}"
    if not both:
        return False, f"no step has a loss in both: {counts}"
    parted = next((step for step in both if a[step] != b[step]), None)
    if parted is None:
        whole = len(a) == len(b) == len(both)
        return whole, f"losses are equal at all {len(both):,} steps" + (
            "" if whole else f" of both: {counts}"
        )
    most = max(both, key=lambda step: abs(a[step] - b[step]))
    return False, (
        f"losses part at step {parted:,}: {a[parted]!r} and {b[parted]!r}; "
        f"they differ most at step {most:,}, by {abs(a[most] - b[most]):.2g}"
    )
