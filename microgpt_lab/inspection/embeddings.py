"""Embeddings in two dimensions: the two directions in which they differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from microgpt_lab.inspection.rendering import View, Views
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.inspection.terms import array

HEIGHT, WIDTH = 20, 72  # of a picture, in characters


@dataclass(frozen=True, repr=False)
class Plane(View):
    """The rows of a matrix as points in the plane of their first two principal components (Pearson, 1901).

    name: of the weight matrix: embeddings of tokens or places, or what the output matrix compares with.
    labels: of the rows: tokens, or places.
    points: (x, y) of each row, less the mean of all, in the units of the weights.
    explained: the share of the variance that lies along x, and along y.
    """

    name: str
    labels: list[str]
    points: list[tuple[float, float]]
    explained: tuple[float, float]

    def __rich__(self) -> Any:
        x, y = self.explained
        title = f"{self.name}: two of its dimensions, which explain {x:.0%} and {y:.0%} of the variance"
        return Group(Text(title, "bold"), Text("\n".join(map("".join, self.picture()))))

    def picture(self) -> list[list[str]]:
        """Return the points as lines of characters: the first letters of their labels."""
        lines = [[" "] * WIDTH for _ in range(HEIGHT)]
        (left, bottom), (right, top) = (tuple(f(axis) for axis in zip(*self.points)) for f in (min, max))
        for label, (x, y) in zip(self.labels, self.points, strict=True):
            column = round((x - left) / ((right - left) or 1.0) * (WIDTH - 3))
            row = round((top - y) / ((top - bottom) or 1.0) * (HEIGHT - 1))
            lines[row][column : column + len(label[:2])] = label[:2]
        return lines

    @staticmethod
    def together(planes: Views[Plane]) -> Any:
        return Group(*planes)


def embeddings(replay: Replay) -> Views[Plane]:
    """Return a plane for each matrix whose rows are vectors of tokens or places."""
    found, model = Views[Plane](), replay.model
    for name, w in replay.weights.items():
        rows, width = w.shape
        if model.roles[name] not in ("embedding", "head") or rows < 3 or width < 2:
            continue
        is_vocabulary = name in ("wte", model.output_matrix)
        labels = list(replay.labels) if is_vocabulary else list(map(str, range(rows)))
        found.append(plane(name, labels, array(w)))
    return found


def plane(name: str, labels: list[str], x: np.ndarray) -> Plane:
    """Project rows (N, C) on the two directions of largest variance, by a singular value decomposition.

    The sign of a direction is chosen so that its largest component is positive.
    """
    u, s, directions = np.linalg.svd(x - x.mean(0), full_matrices=False)
    signs = np.sign(directions[np.arange(2), np.abs(directions[:2]).argmax(1)])
    points = [(float(a), float(b)) for a, b in (u * s)[:, :2] * signs]
    variance = s**2 / max((s**2).sum(), np.finfo(float).tiny)
    return Plane(name, labels, points, (float(variance[0]), float(variance[1])))
