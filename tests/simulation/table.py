"""Format results.json as the tables of docs/reports.md."""

from __future__ import annotations

from reports import METHODS, PLANS, REPORTS, choice_name
from sweeps import EQUAL_SETTINGS, HALF_WORSE, NAMED_BASELINE, POWER, SEEDS, UNEQUAL_NOISE, Cell

KINDS = {
    "all settings equal": EQUAL_SETTINGS,
    "equal on the mean, not in their noise": UNEQUAL_NOISE,
    "half are equal, half worse": HALF_WORSE,
    "a named baseline": NAMED_BASELINE,
}


def table(results: dict[str, dict[str, float]]) -> str:
    """Tables of false claims by kind and number of seeds, of intervals, of whole reports and of the power."""
    lines = ["| false claims, worst of the kind, % |" + "".join(f" {n} seeds |" for n in SEEDS)]
    lines.append("|---|" + "---|" * len(SEEDS))
    for kind, cells in KINDS.items():
        worst = [max(results[str(c)]["false"] for c in cells if c.seeds == n) for n in SEEDS]
        count = sum(c.seeds in SEEDS for c in cells)
        lines.append(f"| {kind} ({count} cells) |" + "".join(f" {x:.1f} |" for x in worst))
    lines += [
        "",
        "| sweeps of which all intervals hold, worst of the kind, % |"
        + "".join(f" {n} seeds |" for n in SEEDS),
    ]
    lines.append("|---|" + "---|" * len(SEEDS))
    for kind, cells in KINDS.items():
        worst = [min(results[str(c)]["hold"] for c in cells if c.seeds == n) for n in SEEDS]
        lines.append(f"| {kind} |" + "".join(f" {x:.1f} |" for x in worst))
    lines += ["", "| reports with choices and accidents | false claims, % |", "|---|---|"]
    lines += [f"| {name} | {results[name]['false']:.1f} |" for name in REPORTS]
    lines += ["", "| worse settings that are detected, % |  |", "|---|---|"]
    lines += [f"| {describe(cell)} | {results[str(cell)]['told']:.0f} |" for cell in POWER]
    headings = [
        "each of 6 settings at its best value: worse settings that are detected, %",
        *(f"chosen {how}" for how in METHODS.values()),
    ]
    lines += ["", f"| {' | '.join(headings)} |", "|---|" + "---|" * len(METHODS)]
    for plan in PLANS:
        told = [results[choice_name(plan, method)]["told"] for method in METHODS]
        cells = [
            f"best of {plan[0]} values, {plan[1]} seeds, worse by {plan[2]:g}",
            *(f"{x:.0f}" for x in told),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe(cell: Cell) -> str:
    return str(cell).replace("gap ", "worse by ")
