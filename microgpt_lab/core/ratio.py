"""Ratios of sums over documents, such as nats per token, and their standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Ratio(NamedTuple):
    """A ratio of sums, and its standard error."""

    value: float
    error: float


def ratio(a: Sequence[float], b: Sequence[float]) -> Ratio:
    """Compute r = Σ a / Σ b over D documents, and its standard error by the delta method.

    The error is sqrt(D / (D - 1) · Σ (a - r b)²) / Σ b (Cochran, Sampling Techniques, 1977, chapter 6). It
    takes the documents as drawn independently, and is NaN of a single one.
    """
    r, documents = sum(a) / sum(b), len(a)
    squares = math.fsum((x - r * y) ** 2 for x, y in zip(a, b, strict=True))
    error = math.sqrt(documents / (documents - 1) * squares) / sum(b) if documents > 1 else math.nan
    return Ratio(r, error)
