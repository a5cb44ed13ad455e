"""Kernels as C: matrix products, rows that are joined, and sums by token, place or distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microgpt_lab.tensors.bands import ALL
from microgpt_lab.tensors.graph import Node
from microgpt_lab.tensors.shapes import DOCS, LENGTH
from microgpt_lab.tensors.traced import Traced

from .memory import Memory

EACH_HEAD = "for (int64_t h = 0; h < {heads}; h++) "


class Kernels:
    """The statements of kernels. `pointer(x)` is the C expression of where a tensor begins."""

    def __init__(self, pointer: Callable[[Any], str], memory: Memory):
        self.pointer, self.memory = pointer, memory

    def text(self, node: Node) -> list[str]:
        return getattr(self, node.op)(node)

    def matmul(self, node: Node) -> list[str]:
        a, b = node.args
        y = Traced(node)
        if len(b.shape) == 2 and len(a.shape) < 4:  # all tokens at once, or no tokens
            rows = "N" if a.shape[0] is DOCS else a.shape[0]
            return [self.product((rows, *b.shape), self.flat(a), self.flat(b), self.flat(y))]
        sizes = ["T" if n is LENGTH else n for n in (y.shape[-2], a.shape[-1], y.shape[-1])]
        kind, band = self.scores(a, node)
        call = f"scores_matmul({kind}, {band}, " if kind else "matmul("
        operands = self.of_head(a), self.of_head(b), self.of_head(y)
        return [f"EACH_DOCUMENT {each(node.heads)}{self.product(sizes, *operands, call)}"]

    def scores(self, a: Any, node: Node) -> tuple[str, int]:
        """Return how a product deals with scores of which only a band exists, and the band."""
        if node.is_scores and node.band not in (None, ALL):
            return "RESULT", node.band
        if a.node.is_scores and a.node.band not in (None, ALL):
            return ("LEFT" if a.strides[-1] == 1 else "LEFT_T"), a.node.band
        return "", 0

    def product(self, sizes: Any, a: Any, b: Any, c: Any, call: str = "matmul(", add: Any = 0) -> str:
        """Return the call for c = a @ b, each where it begins and its strides. sizes: M, K, N."""
        numbers = [sizes[0], sizes[2], sizes[1], *a, *b, *c[:2], add]
        return f"{call}{', '.join(map(str, numbers))});"

    def flat(self, x: Any) -> tuple[str, Any, Any]:
        """Return where a matrix begins, and its strides."""
        return self.pointer(x), *x.strides[-2:]

    def of_head(self, x: Any) -> tuple[str, Any, Any]:
        """Return where the matrix of head h of a document begins, and its strides."""
        if len(x.shape) == 2:
            return self.flat(x)
        heads = x.shape[1] if len(x.shape) == 4 else 1
        apart, row, column = (0, *x.strides)[-3:]
        if "T" in x.strides:
            place, apart = f"nn * {heads}", "T * T"
            row, column = ("T", 1) if column == 1 else (1, "T")
        else:
            place = f"n * {row if x.shape[-2] is LENGTH else column}"
        head = f" + h * {apart}" if apart and heads > 1 else ""
        return f"{self.pointer(x)} + {place}{head}", row, column

    def outer(self, node: Node) -> list[str]:
        """aᵀ b summed over all tokens, and heads."""
        a, b = node.args
        sizes, y = (node.shape[0], "N", node.shape[1]), self.flat(Traced(node))
        if len(a.shape) == 3:
            return [self.product(sizes, self.flat(a.T), self.flat(b), y)]
        at, b = ((f"{self.pointer(x)} + h * {x.strides[0]}", *x.strides[1:]) for x in (a.T, b))
        return [EACH_HEAD.format(heads=a.shape[1]) + self.product(sizes, at, b, y, add="h > 0")]

    def concat(self, node: Node) -> list[str]:
        """Copy the columns of each operand that does not lie there already."""
        lines, start = [], 0
        to, heads, width = self.pointer(Traced(node)), node.heads, node.shape[-1]
        rows = "N" if node.of_docs else node.shape[-2]
        for i, x in enumerate(node.args):
            if (node.serial, i) not in self.memory.packed:
                apart, row, column = (0, *x.strides)[-3:]
                to_head, from_head = (f"h * {width} + ", f"h * {apart} + ") if heads > 1 else ("", "")
                rows_and_heads = f"for (int64_t n = 0; n < {rows}; n++) {each(heads)}"
                columns = f"for (int64_t c = 0; c < {x.shape[-1]}; c++) "
                target = f"({to})[n * {heads * width} + {to_head}{start} + c]"
                source = f"({self.pointer(x)})[n * {row} + {from_head}c * {column}]"
                lines.append(f"{rows_and_heads}{columns}{target} = {source};")
            start += x.shape[-1]
        return lines

    def scatter(self, node: Node) -> list[str]:
        """Sum the rows of gradients that belong to the same row of a table of weights."""
        (g,), (rows, width), to = node.args, node.shape, self.pointer(Traced(node))
        return [
            f"memset({to}, 0, {rows * width} * sizeof(real));",
            f"scatter(N, {width}, {self.pointer(g)}, {g.strides[0]}, batch->{node.attr}, {to});",
        ]

    def strip(self, node: Node) -> list[str]:
        """Write a table by distance as a strip for each head: reversed, with zeros before and behind it."""
        (w,), (heads, width), to = node.args, node.shape, self.pointer(Traced(node))
        last, size = node.attr - 1, min(w.shape[0], node.attr)
        row, column = w.strides
        return [
            f"memset({to}, 0, {heads * width} * sizeof(real));",
            f"for (int64_t h = 0; h < {heads}; h++) for (int64_t d = 0; d < {size}; d++)",
            f"  ({to})[h * {width} + {last} - d] = ({self.pointer(w)})[d * {row} + h * {column}];",
        ]

    def headsum(self, node: Node) -> list[str]:
        """Sum scores over heads."""
        (g,), to = node.args, self.pointer(Traced(node))
        source = f"({self.pointer(g)})[nn * {g.node.heads} + h * T * T + i]"
        return [
            f"EACH_DOCUMENT for (int64_t h = 0; h < {g.node.heads}; h++) for (int64_t i = 0; i < T * T; i++)",
            f"  ({to})[nn + i] = (h ? ({to})[nn + i] : 0) + {source};",
        ]

    def distances(self, node: Node) -> list[str]:
        """Sum scores by their distance."""
        (g,), (rows, heads) = node.args, node.shape
        row, column = (-1, 1) if g.strides[-1] == 1 else (1, -1)  # -1: the length of the document
        window = max(g.node.band or 0, 0)
        where = f"{self.pointer(g)}, {row}, {column}, {self.pointer(Traced(node))}"
        return [f"distances(batch, {heads}, {rows}, {window}, {where});"]


def each(heads: int) -> str:
    return EACH_HEAD.format(heads=heads) if heads > 1 else ""
