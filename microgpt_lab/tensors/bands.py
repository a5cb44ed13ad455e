"""Which attention scores are computed: not those that a mask hides, where no result depends on them.

A masked score is -inf, and what is computed from it is known too: exp(-inf - x) is 0, and 0 · x is 0 (x is
finite, or the run has diverged). A number that nothing reads, or only products with such a 0, need not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from microgpt_lab.core import floats
from microgpt_lab.tensors.graph import Node

ALL = -1  # every score; a band is a window otherwise, or 0: all tokens up to each
KNOWN: dict[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y if y else math.nan,
    "neg": lambda x: -x,
    "exp": floats.exp,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 0.0 if x == -math.inf else math.nan,
    "softplus": lambda x: 0.0 if x == -math.inf else math.nan,
    "abs": abs,
    "copy": lambda x: x,
    "gt": lambda x, y: float(x > y),
    "lt": lambda x, y: float(x < y),
}


def wider(a: int, b: int) -> int:
    return ALL if ALL in (a, b) else 0 if 0 in (a, b) else max(a, b)


class Hidden:
    """The value of each node's scores that a mask hides, if it is known, and the window of the mask."""

    def __init__(self, nodes: list[Node]):
        self.found: dict[int, tuple[float, int]] = {}
        for node in nodes:
            if node.is_scores and (known := self.compute(node)) and not math.isnan(known[0]):
                self.found[node.serial] = known

    def of(self, node: Node) -> tuple[float, int] | None:
        return self.found.get(node.serial)

    def is_value(self, node: Node, value: float) -> bool:
        known = self.of(node)
        return known is not None and known[0] == value

    def compute(self, node: Node) -> tuple[float, int] | None:
        if isinstance(node.op, tuple) and node.op[0] == "causal":
            _, value, window = node.op
            return value, window
        known = [(a.node.attr, None) if a.node.op == "const" else self.of(a.node) for a in node.args]
        if node.op == "where":
            if known[0] is None:
                return None
            condition, window = known[0]
            value = known[1 if condition else 2]
            return value and (value[0], window if value[1] is None else wider(window or 0, value[1]))
        if node.op == "mul" and (zero := next((x for x in known if x and x == (0.0, x[1])), None)):
            return zero if zero[1] is not None else (0.0, 0)
        if node.op == "div" and known[0] and known[0][0] == 0:
            return known[0]
        if node.op in ("add", "sub") and None in known:  # of an infinite and a finite number
            infinite = [i for i, x in enumerate(known) if x and math.isinf(x[0])]
            if len(infinite) != 1:
                return None
            value, window = known[infinite[0]]  # type: ignore[misc]
            return (-value if node.op == "sub" and infinite[0] else value), window or 0
        if isinstance(node.op, tuple) and node.op[0] == "pow" and known[0]:
            return (0.0, known[0][1]) if known[0][0] == 0 and node.op[1] > 0 else None
        f = KNOWN.get(node.op) if isinstance(node.op, str) else None
        if f is None or None in known:
            return None
        windows = [window for _, window in known if window is not None]  # type: ignore[misc]
        window = windows[0] if windows else 0
        for other in windows[1:]:
            window = wider(window, other)
        return f(*(value for value, _ in known)), window  # type: ignore[misc]


def set_bands(nodes: list[Node], results: list[Any]) -> None:
    """Set `band` of all scores to what the nodes that read them need."""
    hidden = Hidden(nodes)
    bands: dict[int, int] = {x.node.serial: ALL for x in results if x.node.is_scores}

    def need(node: Node, band: int) -> None:
        known = bands.get(node.serial)
        bands[node.serial] = band if known is None else wider(known, band)

    for node in reversed(nodes):
        for a in node.args:
            x = a.node
            if not x.is_scores:
                continue
            own = hidden.of(x)
            if node.op == "matmul" and node.is_scores:
                need(x, ALL)
            elif isinstance(node.op, tuple) and node.op[0] == "causal":
                need(x, node.op[2])
            elif node.is_scores:
                need(x, bands.get(node.serial, ALL))
            elif own and own[0] == (-math.inf if node.op in ("rowmax", "argmax") else 0.0):
                need(x, own[1])  # sums, products: what is hidden adds nothing
            else:
                need(x, ALL)
    for node in nodes:
        if node.is_scores:
            node.band = bands.get(node.serial, ALL)
