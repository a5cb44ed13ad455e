"""Draw a picture for each kind of part, KIND.svg: the loss over the steps, the mean over seeds.

python experiments/parts/picture.py runs/parts runs/parts-tokenizer
"""

import sys
from collections import defaultdict
from itertools import cycle
from pathlib import Path
from statistics import mean

from microgpt_lab.options.keys import is_default
from microgpt_lab.registry.plugins import registry
from microgpt_lab.report.figures.style import GRID, INK, as_svg, new_figure
from microgpt_lab.sweeps.changes import CHANGE, NO_CHANGE
from microgpt_lab.sweeps.table import curve, load_sweep

HERE = Path(__file__).parent
NATS, BITS = ("loss/val", "nats per token"), ("bits_per_char/val", "bits per character")
METRICS = defaultdict(lambda: NATS, tokenizer=BITS)  # tokens of different lengths have other losses
COLORS = "#2f7fd6", "#cf5200", "#22a07c", "#c05aa8"  # of contrast in both modes, and for the colour-blind
DASHES = "-", (0, (4, 1.5)), (0, (1, 1.2))
WIDTH, LINE = 4.3, 0.17  # inches: of a picture, and between the names of two parts


def main(sweeps):
    for sweep in map(Path, sweeps):
        runs = load_sweep(sweep)[CHANGE]
        for kind in {change.partition("=")[0]: None for change in runs if change != NO_CHANGE}:
            metric, unit = METRICS[kind]
            of_parts = curves(sweep, runs, kind, metric)
            (HERE / f"{kind}.svg").write_text(draw(of_parts, default(kind), unit), encoding="utf-8")


def curves(sweep, runs, kind, metric):
    """The mean over seeds by step, for each part of a kind, from the best at the end to the worst."""
    found = defaultdict(list)
    for run, change in runs.items():
        changed, _, name = change.partition("=")
        if changed in (kind, NO_CHANGE):
            found[name or default(kind)].append(curve(sweep / run, metric))
    means = {name: {step: mean(c[step] for c in each) for step in each[0]} for name, each in found.items()}
    return dict(sorted(means.items(), key=lambda item: [*item[1].values()][-1]))


def default(kind):
    return next(part.name for part in registry().parts.values() if part.kind == kind and is_default(part))


def draw(of_parts, default, unit):
    """A line for each part, and beside it the name of the part with its last value."""
    figure, axes = new_figure(WIDTH, 0.8 + LINE * max(8, len(of_parts) + 1))
    ends = [[*points.values()][-1] for points in of_parts.values()]
    low, high = limits(of_parts, default)
    axes.set_ylim(low, high)
    heights = spread([(end - low) / (high - low) for end in ends], LINE / (figure.get_figheight() - 0.65))
    looks = cycle((color, dash) for dash in DASHES for color in COLORS)
    for (name, points), end, height in zip(of_parts.items(), ends, heights):
        color, dash = (INK, "-") if name == default else next(looks)
        look = {"color": color, "linestyle": dash, "linewidth": 2 if name == default else 1.5}
        axes.plot([*points], [*points.values()], **look)
        beside = {"transform": axes.transAxes, "clip_on": False}
        axes.plot([1, 1.07], [(end - low) / (high - low), height], **beside, color=color, linewidth=0.5)
        axes.plot([1.07, 1.15], [height, height], **beside, **look)
        axes.text(1.17, height, f"{name} {end:.3f}", va="center", fontsize=8.5, transform=axes.transAxes)
    axes.set_xlim(0, max(next(iter(of_parts.values()))))
    axes.locator_params(nbins=4, steps=[1, 2, 5, 10])
    axes.set_xlabel("step")
    axes.set_title(f"validation loss, {unit}", loc="left", fontsize=9)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    return as_svg(figure)


def limits(of_parts, default):
    """The least and the greatest loss that is shown: all that the default part has from step 200 on."""
    lowest = min(min(points.values()) for points in of_parts.values())
    worst = max([*points.values()][-1] for points in of_parts.values())
    highest = max(of_parts[default][200], worst + 0.25 * (worst - lowest))
    return lowest - 0.04 * (highest - lowest), highest


def spread(heights, gap):
    """Heights in ascending order, moved up and down as little as keeps them a gap apart."""
    moved = list(heights)
    for _ in range(1000):
        for i in range(len(moved) - 1):
            short = gap - (moved[i + 1] - moved[i])
            if short > 1e-4:
                moved[i], moved[i + 1] = moved[i] - short / 2, moved[i + 1] + short / 2
        rise = max(0, -moved[0])
        moved = [x + rise for x in moved]
    return moved


if __name__ == "__main__":
    main(sys.argv[1:])
