"""The live view of a run on a terminal: its loss curve, samples, and three figures of its health."""

import math

from microgpt_lab import part, printable
from microgpt_lab.core.diagnostics import diagnose

HEIGHT = 8  # rows of the curve
LABEL = 9  # columns before it
FRAMES = 4  # pictures a second
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # bits of a braille character, by column and row


class LiveView:
    """Draws over itself while a run trains, below what is printed in the meantime."""

    def __init__(self, trainer, screen, progress):
        from rich.live import Live

        self.trainer, self.screen, self.progress = trainer, screen, progress
        self.curve = Curve(max(10, min(100, screen.width - LABEL - 2)), trainer.steps)
        self.samples, self.health = "", ""
        self.live = Live(get_renderable=self.picture, console=screen, refresh_per_second=FRAMES)
        self.live.start()

    def step_finished(self, step, loss):
        self.curve.add(step, loss)

    def evaluated(self, step):
        words = " ".join(map(printable, self.trainer.preview(5))).split()
        self.samples = f"step {step}: {' '.join(words)}"
        self.health = health_line(diagnose(self.trainer, part("backend", "numpy")))

    def stop(self):
        self.live.stop()

    def picture(self):
        from rich.console import Group
        from rich.text import Text

        lines = [Text(line, "yellow") for line in self.curve.lines()] if self.curve.sums else []
        for label, text in (("samples", self.samples), ("health", self.health)):
            line = Text.assemble((f"{label:<{LABEL}}", "dim"), text or "at the first evaluation")
            line.truncate(self.screen.width, overflow="ellipsis")
            lines.append(line)
        return Group(self.progress, *lines)


def health_line(figures):
    """Three figures in words: how far weights move, how many units are dead, how wide attention looks."""
    kinds = ("updates/", "activations/dead/", "activations/entropy/")
    update, dead, entropy = (
        median(x for name, x in figures.items() if name.startswith(kind)) for kind in kinds
    )
    facts = [f"update {10**update:.2%} of weights"] if update == update else []
    facts += [f"dead units {dead:.0%}"] if dead == dead else []
    facts += [f"attention on {math.exp(entropy):.1f} tokens"] if entropy == entropy else []
    return " · ".join(facts)


def median(numbers):
    """The median of the numbers that are defined; NaN if there are none."""
    ordered = sorted(x for x in numbers if x == x)
    return ordered[len(ordered) // 2] if ordered else math.nan


class Curve:
    """A curve of means over steps, in braille characters: two columns and four rows of dots in each."""

    def __init__(self, width, steps):
        self.width, self.steps = width, max(1, steps)
        self.sums = {}  # by column of dots: the sum of its losses, and their number

    def add(self, step, loss):
        column = min(2 * self.width - 1, (step - 1) * 2 * self.width // self.steps)
        total, count = self.sums.get(column, (0.0, 0))
        self.sums[column] = total + loss, count + 1

    def lines(self):
        """The rows of the curve, the highest loss first, with the range at the left."""
        means = {column: total / count for column, (total, count) in list(self.sums.items())}
        low, high = min(means.values()), max(means.values())
        cells = [[0] * self.width for _ in range(HEIGHT)]
        last = None
        for column, loss in sorted(means.items()):
            row = round((high - loss) / (high - low or 1) * (4 * HEIGHT - 1))
            between = range(min(row, last + 1), max(row, last - 1) + 1) if last is not None else (row,)
            for y in between:
                cells[y // 4][column // 2] |= DOTS[column % 2][y % 4]
            last = row
        ends = {0: f"{high:.2f}", HEIGHT - 1: f"{low:.2f}"}
        for y, row in enumerate(cells):
            yield f"{ends.get(y, ''):>{LABEL - 2}} ┤" + "".join(
                chr(0x2800 + bits) if bits else " " for bits in row
            )
