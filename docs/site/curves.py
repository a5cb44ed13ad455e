"""The curves on the page of a kind: their picture from the recipe `parts`, and what it shows in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from assembly import ROOT
from links import title

from microgpt_lab.registry.parts import Part

RECIPE = ROOT / "experiments" / "parts"
UNITS = {"loss/val": "nats per token", "bits_per_char/val": "bits per character"}
Recipes = Mapping[tuple[str, str], Sequence[Path]]  # folders of those that choose a part, by kind and name


def curves(heading: str, parts: Sequence[Part], recipes: Recipes) -> str:
    """Return the picture of a kind and a sentence on it; empty if the recipe has none.

    parts: those of the kind, the default one first.
    """
    kind, default = parts[0].kind, parts[0].name
    if not (RECIPE / f"{kind}.svg").exists():
        return ""
    unit, seeds, means = results(kind, default)
    folder = RECIPE.relative_to(ROOT).as_posix()
    alt = f"{heading}: the validation loss over the steps, in {unit}. At the end, {ends(means, default)}"
    text = (
        f"The default run with each of them, the mean of {seeds} seeds ([recipe]({folder})). Options and "
        "learning rates are the defaults, so that this is no fair comparison"
    )
    if found := tuned(kind, recipes):
        name = title((found / "README.md").read_text(encoding="utf-8"))
        text += f": for one, see [{name}]({found.relative_to(ROOT).as_posix()})"
    return f"![{alt}]({folder}/{kind}.svg)\n\n{text}."


def results(kind: str, default: str) -> tuple[str, int, dict[str, float]]:
    """Return the unit of the losses, the number of seeds, and the last mean loss of each part of a kind."""
    for file in sorted(RECIPE.glob("report*.json")):
        report = json.loads(file.read_text(encoding="utf-8"))
        rows = {row["setting"]["change"]: row["mean"] for row in report["rows"]}
        means = {name: mean for change, mean in rows.items() if (name := part_of(change, kind))}
        if means:
            return UNITS[report["metric"]], report["seeds"], {default: rows["none"]} | means
    raise ValueError(f"no report of {RECIPE.name} has parts of the kind {kind}")


def part_of(change: str, kind: str) -> str:
    """Return the name of the part that a change chooses; empty if it is one of another kind."""
    key, _, name = change.partition("=")
    return name if key == kind else ""


def ends(means: Mapping[str, float], default: str) -> str:
    """Return which parts have the lowest and the highest loss at the end, and what the default one has."""
    lowest, highest = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    low, high = (f"{name}, the default," if name == default else name for name in (lowest, highest))
    text = f"{low} is lowest ({means[lowest]:.3f}) and {high} highest ({means[highest]:.3f})"
    return (
        text if default in (lowest, highest) else f"{text}; {default}, the default, has {means[default]:.3f}"
    )


def tuned(kind: str, recipes: Recipes) -> Path | None:
    """Return the recipe with most parts of a kind, each at its best learning rate; None if there is none."""
    count = Counter(folder for (key, _), folders in recipes.items() if key == kind for folder in folders)
    return next((folder for folder, _ in count.most_common() if is_tuned(folder)), None)


def is_tuned(folder: Path) -> bool:
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    return "tune" in recipe.get("hydra", {}).get("sweeper", {})
