"""Compare two runs: configuration, source files of parts, versions, data, results and losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from microgpt_lab.errors import UserError, printable
from microgpt_lab.options.overrides import differing_keys
from microgpt_lab.run.folder import Stored, is_run, read_metric, read_run
from microgpt_lab.run.resume import short
from microgpt_lab.run.sources import CORE, differing, names, sources
from microgpt_lab.sweeps.table import is_number
from microgpt_lab.terminal import terminal

Pairs = dict[str, tuple[Any, Any]]
DATA = ("documents", "documents_long", "documents_sha256")  # keys of environment.json
NOT_COMPARED = ("config", "seconds", "resumed")  # keys of summary.json; equal runs may take different times


def show(first: Path, second: Path) -> None:
    """Print the differences between two runs and the first step with different losses, or 'equal'."""
    for folder in (first, second):
        if not is_run(folder):
            raise UserError(f"there is no run at {folder}")
    compared = sections(read_run(first), read_run(second))
    differences = {heading: pairs for heading, pairs in compared.items() if pairs}
    equal, sentence = compare_losses(first, second)
    console = terminal(200)
    for letter, folder in (("A", first), ("B", second)):
        console.print(Text.assemble((f"{letter}  ", "bold"), printable(str(folder))), soft_wrap=True)
    if differences:
        console.print(difference_table(differences))
    elif equal:
        console.print("equal: configuration, sources of parts, versions, data and results")
    console.print(Text(sentence), soft_wrap=True)


def sections(first: Stored, second: Stored) -> dict[str, Pairs]:
    """Return the differences by heading.

    Sources are compared of the parts that both runs use, if both have a hash of them.
    """
    environments = first.environment, second.environment
    data, versions = ([pick(e) for e in environments] for pick in (data_of, versions_of))
    results = [{k: x for k, x in run.summary.items() if k not in NOT_COMPARED} for run in (first, second)]
    differences = {"configuration": differing_keys(first.config, second.config)}
    if all(environments):
        differences["sources"] = differing_sources(first, second)
        differences["versions"], differences["data"] = differing_keys(*versions), differing_keys(*data)
    elif any(environments):
        states = tuple("present" if environment else "missing" for environment in environments)
        differences["environment.json"] = {"the file": (states[0], states[1])}
    return differences | {"results": differing_keys(*results)}


def differing_sources(first: Stored, second: Stored) -> Pairs:
    """Return the versions or the hashes of the parts, and of the lab's core, whose source is not the same."""
    found = differing({"A": sources(first), "B": sources(second)})
    return {
        "the lab" if part == CORE else part: (names(of.values())[of["A"]], names(of.values())[of["B"]])
        for part, of in found.items()
    }


def data_of(environment: dict[str, Any]) -> dict[str, Any]:
    return {key: environment.get(key) for key in DATA}


def versions_of(environment: dict[str, Any]) -> dict[str, Any]:
    """Return the versions of packages, and the facts about the machine."""
    return {key: x for key, x in environment.items() if key not in (*DATA, "parts", "callbacks", "core")}


def difference_table(differences: dict[str, Pairs]) -> Table:
    """Make a table with a row per difference; for two numbers, with B - A."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "A", "B", "B - A"):
        table.add_column(heading, overflow="fold")
    for heading, pairs in differences.items():
        table.add_row(Text(heading, "bold"))
        for key, (a, b) in pairs.items():
            as_text = short if short(a) != short(b) else repr  # '16' is not 16
            gap = f"{b - a:+.4g}" if is_number(a) and is_number(b) else ""
            texts = ("-" if value is None else as_text(value) for value in (a, b))
            table.add_row(Text(f"  {key}", "cyan"), *map(Text, texts), gap)
    return table


def compare_losses(first: Path, second: Path) -> tuple[bool, str]:
    """Return whether the losses of all steps are exactly equal, and a sentence about the first difference."""
    curves = []
    for folder in (first, second):
        try:
            curves.append(read_metric(folder / "metrics.jsonl", "loss/train"))
        except FileNotFoundError:
            curves.append({})
        except UserError as error:
            return False, printable(f"losses cannot be compared: {error}")
    a, b = curves
    if not a and not b:
        return True, "neither run has losses per step (metrics.jsonl)"
    common = sorted(a.keys() & b.keys())
    counts = f"A has {len(a):,} steps, B {len(b):,}"
    if not common:
        return False, f"no step has a loss in both runs: {counts}"
    start = next((step for step in common if a[step] != b[step]), None)
    if start is None:
        complete = len(a) == len(b) == len(common)
        sentence = f"losses are equal at all {len(common):,} steps"
        return complete, sentence if complete else f"{sentence} that both runs have: {counts}"
    largest = max(common, key=lambda step: abs(a[step] - b[step]))
    return False, (
        f"losses first differ at step {start:,}: {a[start]!r} and {b[start]!r}; "
        f"the largest difference is {abs(a[largest] - b[largest]):.2g}, at step {largest:,}"
    )
