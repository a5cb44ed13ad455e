"""Which attention scores are computed: not those that a mask hides, where no result depends on them.

A masked score is -inf, and what is computed from it is known too: exp(-inf - x) is 0, and 0 · x is 0 (x is
finite, or the run has diverged). A number that nothing reads, or only products with such a 0, need not exist.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from microgpt_lab.core import floats
from microgpt_lab.tensors.graph import Node

ALL = -1  # every score; a band is a window otherwise, or 0: all tokens up to each
Known = tuple[float, int | None]  # a value, and the window outside of which scores have it (None: all have)
VALUES: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": floats.divide,
    "neg": operator.neg,
    "exp": floats.exp,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 0.0 if x == -math.inf else math.nan,
    "softplus": lambda x: 0.0 if x == -math.inf else math.nan,
    "abs": abs,
    "copy": lambda x: x,
    "gt": operator.gt,
    "lt": operator.lt,
}


def wider(a: int | None, b: int | None) -> int | None:
    """Return the window that has both; None is no token at all."""
    if a is None or b is None:
        return a if b is None else b
    return ALL if ALL in (a, b) else 0 if 0 in (a, b) else max(a, b)


def hidden_values(nodes: list[Node]) -> dict[int, Known]:
    """Return the value of each node's scores that a mask hides, by its serial, where it is known."""
    found: dict[int, Known] = {}
    for node in nodes:
        operands = [
            (a.node.attr, None) if a.node.op == "const" else found.get(a.node.serial) for a in node.args
        ]
        known = hidden_value(node, operands) if node.is_scores else None
        if known and not math.isnan(known[0]):
            found[node.serial] = known[0], known[1] or 0
    return found


def hidden_value(node: Node, operands: Sequence[Known | None]) -> Known | None:
    op, name = node.op, node.op[0] if isinstance(node.op, tuple) else node.op
    if name == "causal":
        return op[1], op[2]
    if name == "where":
        condition, *branches = operands
        picked = branches[0 if condition and condition[0] else 1] if condition else None
        return (picked[0], wider(condition[1], picked[1])) if condition and picked else None
    if name == "mul" and None in operands:  # by a finite number
        return next((x for x in operands if x and x[0] == 0), None)
    first = operands[0] if operands else None
    if first and first[0] == 0 and (name == "div" or (name == "pow" and op[1] > 0)):
        return first
    if name in ("add", "sub") and None in operands:  # of an infinite and a finite number
        signs = (1, -1 if name == "sub" else 1)
        return next(((x[0] * sign, x[1]) for x, sign in zip(operands, signs) if x and math.isinf(x[0])), None)
    known = [x for x in operands if x is not None]
    if name not in VALUES or len(known) < len(operands):
        return None
    value = float(VALUES[name](*(x for x, _ in known)))
    return value, functools.reduce(wider, (window for _, window in known))


def set_bands(nodes: list[Node], results: list[Any]) -> None:
    """Set `band` of all scores to what the nodes that read them need."""
    hidden = hidden_values(nodes)
    bands: dict[int, int | None] = {x.node.serial: ALL for x in results if x.node.is_scores}

    def need(node: Node, band: int | None) -> None:
        bands[node.serial] = wider(bands.get(node.serial), band)

    for node in reversed(nodes):
        for a in node.args:
            x = a.node
            if not x.is_scores:
                continue
            own = hidden.get(x.serial)
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
