"""Draw the rooms of the package and their imports for docs/architecture.md: `python tests/architecture`.

An arrow is left out where a longer way leads to the same room.
"""

import textwrap
from functools import cache

from imports import PACKAGE, ROOT, room_arrows

PICTURE = ROOT / "docs" / "images" / "architecture.svg"
# Column, row and number of columns of each room.
PLACES = {
    "api": (0, 0, 5),
    "commands": (0, 1, 5),
    "report": (0, 2, 1),
    "listing": (1, 2, 1),
    "checks": (2, 2, 1),
    "inspection": (3, 2, 1),
    "authoring": (4, 2, 1),
    "sweeps": (0, 3, 2),
    "run": (0, 4, 2),
    "exchange": (2, 5, 2),
    "options": (0, 6, 2),
    "registry": (0, 7, 2),
    "tensors": (2, 7, 1),
    "core": (0, 8, 5),
}
WIDTH, GAP, LINE, ROWS = 260, 36, 17, 9  # pixels; rows of rooms
STYLE = """
text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #57606a }
.name { font: bold 15px system-ui, sans-serif; fill: #1f2328 }
rect { fill: #f6f8fa; stroke: #8c959f }
path { fill: none; stroke: #0969da; stroke-width: 1.5; marker-end: url(#head) }
marker path { fill: #0969da; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } .name { fill: #f0f6fc }
  rect { fill: #151b23; stroke: #656c76 }
  path { stroke: #4493f8 } marker path { fill: #4493f8 }
}"""


def files(room):
    """The modules of a room, in lines that fit into its box."""
    inside = sorted((PACKAGE / room).iterdir())
    names = [path.stem for path in inside if path.suffix == ".py" and path.stem != "__init__"]
    names += [f"{path.name}/" for path in inside if (path / "__init__.py").is_file()]
    return textwrap.wrap(" ".join(names), 30 * PLACES[room][2])


def drawn(arrows):
    """The pairs of rooms that no longer way connects."""

    @cache
    def reached(room):
        return set().union(*({other} | reached(other) for other in arrows[room]))

    for room, others in arrows.items():
        for other in others:
            if not any(other in reached(step) for step in others):
                yield room, other


def boxes():
    """The x, y, width and height of each room."""
    rows = [[room for room, (_, row, _) in PLACES.items() if row == i] for i in range(ROWS)]
    heights = [max(len(files(room)) for room in row) * LINE + 40 for row in rows]
    return {
        room: (
            GAP + column * (WIDTH + GAP),
            GAP + sum(heights[:row]) + row * GAP,
            columns * (WIDTH + GAP) - GAP,
            heights[row],
        )
        for room, (column, row, columns) in PLACES.items()
    }


def arrow(source, target):
    """A line from a box down to another.

    It is straight where one is above the other, enters a box to the left at its side, and one to the right
    from above.
    """
    (x, y, width, height), (x2, y2, width2, height2) = source, target
    left, right = max(x, x2), min(x + width, x2 + width2)
    if left < right:
        return f'<path d="M{(left + right) // 2} {y + height} V{y2 - 2}"/>'
    if x < x2:
        return f'<path d="M{x + width} {y + height * 3 // 4} H{x2 + width2 // 2} V{y2 - 2}"/>'
    return f'<path d="M{x + WIDTH // 4} {y + height} V{y2 + height2 // 2} H{x2 + width2 + 2}"/>'


def svg():
    """The picture, as text."""
    placed = boxes()
    width, height = (max(box[i] + box[i + 2] for box in placed.values()) + GAP for i in (0, 1))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        f"<title>The rooms of microgpt_lab, and which imports which</title><style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 Z"/></marker></defs>',
    ]
    for room, (x, y, w, h) in placed.items():
        lines.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6"/>')
        lines.append(f'<text class="name" x="{x + 14}" y="{y + 24}">{room}</text>')
        for i, names in enumerate(files(room)):
            lines.append(f'<text x="{x + 14}" y="{y + 45 + i * LINE}">{names}</text>')
    lines += sorted(arrow(placed[source], placed[target]) for source, target in drawn(room_arrows()))
    return "\n".join([*lines, "</svg>\n"])


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
