"""Draw the losses of a run by step as SVG, fast enough to be drawn while the run trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

COLUMNS = 64  # points of a line: of each, the mean of its steps
WIDTH, HEIGHT = 640, 220  # pixels
LEFT, RIGHT, TOP, BOTTOM = 40, 90, 10, 30
TRAIN, VAL = "#e08a3c", "#3b82f6"  # with contrast on light and dark pages
TICKS = 5


class LossCurve:
    """The training losses of a run, as means over a few steps, and its validation losses.

    steps: of the whole run, so that the curve grows from left to right.
    """

    def __init__(self, steps: int):
        self.steps = max(1, steps)
        self.sums: dict[int, tuple[float, int]] = {}  # by column: of its losses, and their number
        self.val: dict[int, tuple[int, float]] = {}  # by column: the last step with a validation loss

    def add(self, step: int, loss: float | None, val: float | None = None) -> None:
        """Add the losses of a step. What is not finite is left out."""
        column = min(COLUMNS - 1, max(0, step - 1) * COLUMNS // self.steps)
        if loss is not None and math.isfinite(loss):
            total, count = self.sums.get(column, (0.0, 0))
            self.sums[column] = total + loss, count + 1
        if val is not None and math.isfinite(val):
            self.val[column] = step, val

    def svg(self) -> str:
        """Return the picture; '' if there is no loss yet."""
        train = [
            ((column + 0.5) * self.steps / COLUMNS, total / count)
            for column, (total, count) in sorted(self.sums.items())
        ]
        val = sorted(self.val.values())
        losses = sorted(loss for _, loss in (*train, *val))
        if not losses:
            return ""
        high = min(losses[-1], 2 * losses[len(losses) // 2])  # so that one peak does not flatten the rest
        low = losses[0]
        margin = 0.05 * (high - low) or 0.1
        axes = Axes(self.steps, low - margin, high + margin)
        lines = [*axes.grid(), axes.line(train, TRAIN, 1.2), axes.line(val, VAL, 2)]
        if len(val) <= 50:
            lines += axes.dots(val, VAL)
        ends = [(name, color, points[-1]) for name, color, points in named(train, val) if points]
        lines += axes.labels(ends)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        style = f"max-width: {WIDTH}px; width: 100%; font: 12px system-ui, sans-serif"
        return f'{head} style="{style}">{"".join(lines)}</svg>'


Points = Sequence[tuple[float, float]]


def named(train: Points, val: Points) -> Iterator[tuple[str, str, Points]]:
    yield "train", TRAIN, train
    yield "val", VAL, val


class Axes:
    """Where steps and losses are in the picture."""

    def __init__(self, steps: int, low: float, high: float):
        self.steps, self.low, self.high = steps, low, high

    def x(self, step: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * step / self.steps:.1f}"

    def y(self, loss: float) -> float:
        share = (min(loss, self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    def grid(self) -> Iterator[str]:
        """Yield lines at round losses, and labels of both axes."""
        size = 10 ** math.floor(math.log10((self.high - self.low) / TICKS))
        size *= next(n for n in (1, 2, 5, 10) if (self.high - self.low) / (n * size) <= TICKS)
        digits = max(0, -math.floor(math.log10(size)))
        for i in range(math.ceil(self.low / size), math.floor(self.high / size) + 1):
            y = self.y(i * size)
            yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="currentColor" opacity=".15"/>'
            yield text(LEFT - 6, y + 4, f"{i * size:.{digits}f}", "end", opacity=0.7)
        for step, anchor in ((0, "start"), (self.steps // 2, "middle"), (self.steps, "end")):
            yield text(self.x(step), HEIGHT - 10, f"{step:,}" if step else "step 0", anchor, opacity=0.7)

    def line(self, points: Points, color: str, width: float) -> str:
        path = " ".join(f"{self.x(step)},{self.y(loss)}" for step, loss in points)
        return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"/>'

    def dots(self, points: Points, color: str) -> Iterator[str]:
        for step, loss in points:
            yield f'<circle cx="{self.x(step)}" cy="{self.y(loss)}" r="3" fill="{color}"/>'

    def labels(self, ends: list[tuple[str, str, tuple[float, float]]]) -> Iterator[str]:
        """Yield the last loss of each line, beside its end, one above the other."""
        lowest = -math.inf
        for name, color, (_, loss) in sorted(ends, key=lambda end: self.y(end[2][1])):
            lowest = max(self.y(loss) + 4, lowest + 14)
            yield text(WIDTH - RIGHT + 8, lowest, f"{name} {loss:.3f}", "start", fill=color)


def text(
    x: float | str, y: float, content: str, anchor: str, *, fill: str = "currentColor", **style: float
) -> str:
    """Return a line of text at (x, y)."""
    more = "".join(f' {name}="{value}"' for name, value in style.items())
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}"{more}>{content}</text>'
