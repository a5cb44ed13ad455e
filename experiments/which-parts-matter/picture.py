"""Draw picture.svg from the reports in this folder: what each change does at each size.

python experiments/which-parts-matter/picture.py
"""

import json
from pathlib import Path

from microgpt_lab.report.figures.style import BETTER, GRID, INK, OPEN, WORSE, as_svg, new_figure

HERE = Path(__file__).parent
SIZES = {"report": "1 × 16", "report-2x32": "2 × 32", "report-3x48": "3 × 48"}
ALL = "all together"


def draw(reports):
    """A panel for each size, a row for each change, ordered by its gap at the smallest size."""
    gaps = [
        {row["setting"]["change"]: (row["gap"], row["interval"], row["significant"]) for row in rows}
        for rows in (report["rows"] for report in reports.values())
    ]
    changes = sorted((c for c in gaps[0] if c != "none"), key=lambda change: gaps[0][change][0] or 0)
    ends = [end for rows in gaps for _, interval, _ in rows.values() for end in interval or ()]
    figure, axes = new_figure(4.5 + 2.5 * len(gaps), 0.9 + 0.27 * len(changes), columns=len(gaps))
    axes = [axes] if len(gaps) == 1 else axes
    for panel, size, rows in zip(axes, reports, gaps):
        for place, change in enumerate(changes):
            gap, interval, claimed = rows.get(change, (None, None, False))
            if interval is None:
                continue
            color = OPEN if not claimed else WORSE if gap > 0 else BETTER
            panel.plot(interval, [place, place], color=color, linewidth=2.2)
            panel.plot(gap, place, "o", color=color, markersize=5)
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.grid(axis="x", color=GRID, linewidth=0.6)
        panel.set_title(f"{size}, {reports[size]['seeds']} seeds", loc="left", fontsize=9)
        panel.set_xlim(min(ends) - 0.002, max(ends) + 0.002)
        panel.set_ylim(len(changes) - 0.4, -0.6)
        panel.set_yticks([])
    axes[0].set_yticks(range(len(changes)), [name(change) for change in changes])
    axes[len(axes) // 2].set_xlabel("gap to microGPT in nats per token; to the right is worse")
    return as_svg(figure)


def name(change):
    """The change, without the keys that only fill in what it needs."""
    words = [word for word in change.split() if not word.startswith("match=")]
    return ALL if len(words) > 5 else " ".join(words)


if __name__ == "__main__":
    found = {size: HERE / f"{file}.json" for file, size in SIZES.items()}
    reports = {size: json.loads(path.read_text()) for size, path in found.items() if path.exists()}
    (HERE / "picture.svg").write_text(draw(reports), encoding="utf-8")
