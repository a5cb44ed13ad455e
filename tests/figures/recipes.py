"""Read the folders in experiments/: question, answer, and the figures of their files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import permutations
from statistics import stdev

import yaml
from stated import ROOT, leaves, numbers

EXPERIMENTS = ROOT / "experiments"
TABLE = EXPERIMENTS / "README.md"
HEADER = "| `experiment=` | question | answer |"
NAMES = sorted(path.parent.name for path in EXPERIMENTS.glob("*/recipe.yaml"))


class Recipe:
    """A folder in experiments/."""

    def __init__(self, name: str):
        self.name, self.folder = name, EXPERIMENTS / name
        self.page = self.folder / "README.md"
        self.text = self.page.read_text(encoding="utf-8")
        self.yaml = (self.folder / "recipe.yaml").read_text(encoding="utf-8")
        self.expected = json.loads((self.folder / "expected.json").read_text())
        self.reports = [json.loads(path.read_text()) for path in sorted(self.folder.glob("report*.json"))]
        self.rows = [row for report in self.reports for row in report.get("rows", ())]

    def question(self) -> str:
        """The second line of recipe.yaml, a comment, as `python -m microgpt_lab experiments` lists it."""
        return self.yaml.splitlines()[1].removeprefix("#").strip()

    def answer(self) -> str:
        """The paragraph of the README that begins with **Answer.**, in one line; empty if there is none."""
        found = re.search(r"^\*\*Answer\.\*\* (.*?)(?:\n\s*\n|\Z)", self.text, flags=re.M | re.S)
        return " ".join(found[1].split()) if found else ""

    def known(self) -> Iterator[float]:
        """Figures of the reports, of recipe.yaml and of expected.json; extremes and sd of a row's seeds."""
        yield from leaves(yaml.safe_load(self.yaml))
        yield from leaves({key: x for key, x in self.expected.items() if key != "check"})
        yield from leaves(self.expected["check"].get("steps", {}))
        yield from leaves([{key: x for key, x in each.items() if key != "rows"} for each in self.reports])
        for row in self.rows:
            yield from leaves({key: x for key, x in row.items() if key not in ("figures", "verdict")})
            yield from (min(row["figures"]), max(row["figures"])) if row["figures"] else ()
            yield from (stdev(row["figures"]),) if len(row["figures"]) > 1 else ()
        for page in self.folder.glob("report*.md"):  # parameters of the settings, and the number of runs
            text = page.read_text(encoding="utf-8")
            yield from (x for found in re.findall(r"\b[\d,]+(?= runs:)", text) for x in numbers(found))
            head, _, *rows = (line.split(" | ") for line in text.splitlines() if line.startswith("|"))
            if "params" in head:
                yield from (x for cells in rows for x in numbers(cells[head.index("params")]))

    def seconds(self) -> Iterator[float]:
        yield from (float(x) for key, x in self.expected.items() if key.endswith("seconds"))

    def seeds(self) -> set[float]:
        """Numbers of seeds: of each row, in all, and quoted ones."""
        quoted = leaves([*self.expected.get("quoted", {}).values()])
        earlier = self.expected.get("earlier", {}).get("seeds", 1)
        own = (len(row["figures"]) for row in self.rows)
        return {*quoted, earlier, self.expected.get("seeds", 1), *own}

    def intervals(self) -> Iterator[tuple[float, float]]:
        for row in self.rows:
            if row.get("interval"):
                yield tuple(row["interval"])
        yield from map(tuple, self.expected.get("earlier", {}).get("intervals", ()))  # of a smaller report

    def intervals_by_seed(self) -> Iterator[tuple[float, float]]:
        """The least and the largest gap of one seed, for each two rows with the same seeds."""
        for one, other in permutations(self.rows, 2):
            if len(one["figures"]) == len(other["figures"]):
                gaps = [a - b for a, b in zip(one["figures"], other["figures"])]
                yield min(gaps), max(gaps)


def table() -> str:
    """The table of experiments/README.md: its order, then new recipes by name."""
    order = re.findall(r"^\| \[`([\w-]+)`\]", TABLE.read_text(encoding="utf-8"), flags=re.M)
    listed = [name for name in order if name in NAMES]
    lines = [HEADER, "|---|---|---|"]
    for recipe in map(Recipe, [*listed, *(name for name in NAMES if name not in order)]):
        lines.append(f"| [`{recipe.name}`]({recipe.name}) | {recipe.question()} | {recipe.answer()} |")
    return "\n".join(lines)
