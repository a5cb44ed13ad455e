"""Tensors without numbers that write the graph of a step: the array protocol (docs/backends.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from microgpt_lab.core.places import Places
from microgpt_lab.tensors.broadcasting import SLOPES, Condition, contiguous, each, stretched, strip_of
from microgpt_lab.tensors.graph import Node, Untraceable
from microgpt_lab.tensors.shapes import DOCS, LENGTH, ShapeTensor, Tokens, same

Pull = Callable[["Traced"], "Traced"]  # from the gradient of a result to that of an operand


class Given(Tokens):
    """The ids or targets of a batch."""

    def __init__(self, name: str):
        super().__init__(DOCS, LENGTH)
        self.name = name


class Traced(ShapeTensor):
    """A view of a node: some of its numbers, by strides and an offset, and how gradients flow back.

    Strides are those of rows and columns, preceded by that of heads. The row stride "T" is the length of a
    document, in scores.
    """

    __slots__ = ("node", "offset", "parents", "pulls", "strides", "tracked")

    def __init__(
        self,
        node: Node,
        shape: Sequence[Any] | None = None,
        strides: Sequence[Any] = (),
        offset: int = 0,
        links: Sequence[tuple[Traced, Pull]] = (),
        tracked: bool = False,
    ):
        super().__init__(node.shape if shape is None else shape)
        self.node, self.strides, self.offset = node, tuple(strides) or contiguous(self.shape), offset
        links = [] if node.graph.differentiated else [link for link in links if link[0].tracked]
        self.parents, self.pulls = [x for x, _ in links], [pull for _, pull in links]
        self.tracked = tracked or bool(links)

    def make(
        self, op: Any, args: Sequence[Traced], shape: Sequence[Any], pulls: Any = (), attr: Any = None
    ) -> Traced:
        """Add a node to the graph. `pulls` are those of the operands, in order."""
        if shape[0] is DOCS and shape[-2] is not LENGTH:
            raise Untraceable(f"a result of shape {tuple(shape)}, without a row for each token")
        in_heads = any(len(x.shape) == 3 and x.shape[0] is not DOCS and x.shape[0] != 1 for x in args)
        if in_heads and shape[0] is not DOCS:
            raise Untraceable("a function of the rows of weights that are split into heads")
        return Traced(Node(self.node.graph, op, args, shape, attr), links=list(zip(args, pulls)))

    def view(self, shape: Sequence[Any], strides: Sequence[Any], pull: Pull, offset: int = 0) -> Traced:
        return Traced(self.node, shape, strides, self.offset + offset, [(self, pull)])

    def detached(self, tracked: bool = False) -> Traced:
        """Return the same numbers without gradient, or as a start of gradients."""
        return Traced(self.node, self.shape, self.strides, self.offset, tracked=tracked)

    def constant(self, x: float) -> Traced:
        return Traced(Node(self.node.graph, "const", (), (1, 1), float(x)))

    def is_dense(self) -> bool:
        """Whether these numbers lie in memory one after the other."""
        axes = [size for size in self.shape if size is not DOCS]
        pairs = zip(axes, self.strides, contiguous(self.shape), strict=True)
        return all(have == want for size, have, want in pairs if not same([size], [1]))

    def is_whole(self) -> bool:
        """Whether these are all numbers of the node, in its own form."""
        return same(self.shape, self.node.shape) and self.offset == 0 and self.is_dense()

    def backward(self) -> dict[int, Traced]:
        """Return the gradients of this number with respect to all leaves, by the id of the leaf."""
        return self.node.graph.gradients(self)

    # Elementwise.

    def __add__(self, other):
        return each("add", self, other, lambda g, a, b, y: g, lambda g, a, b, y: g)

    def __sub__(self, other):
        return each("sub", self, other, lambda g, a, b, y: g, lambda g, a, b, y: -g)

    def __mul__(self, other):
        if other is self:
            return self**2.0
        return each("mul", self, other, lambda g, a, b, y: g * b, lambda g, a, b, y: g * a)

    def __truediv__(self, other):
        return each("div", self, other, lambda g, a, b, y: g / b, lambda g, a, b, y: -(g / b * y))

    def __neg__(self):
        return each("neg", self, None, lambda g, a, b, y: -g)

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return self**-1.0 * other

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, n):
        def slope(g, x, _, y):
            if n == 0:
                return g * 0.0
            return g * (y / x * n if n < 0 else x ** (n - 1.0) * n)

        return self if n == 1 else each(("pow", float(n)), self, None, slope)

    def __rpow__(self, base):
        """A number to the power of these, as in beta ** step; no gradient flows through it."""
        return each(("rpow", float(base)), self.detached(), None, None)

    def __gt__(self, other):
        return Condition(each("gt", self.detached(), other, None))

    def __lt__(self, other):
        return Condition(each("lt", self.detached(), other, None))

    def apply(self, name):
        return each(name, self, None, SLOPES[name])

    # Rows.

    def _row(self) -> tuple[Any, ...]:
        return *self.shape[:-1], 1

    def sum(self):
        if same(self.shape[-1:], (1,)):
            return self
        return self.make("rowsum", [self], self._row(), [lambda g: stretched(g, self.shape)])

    def max(self):
        if same(self.shape[-1:], (1,)):
            return self
        x = self.detached()
        first = lambda: x.make("argmax", [x], self._row())  # noqa: E731
        return x.make("rowmax", [self], self._row(), [lambda g: x.make("onehot", [g, first()], x.shape)])

    def logsumexp(self):
        x = self.detached()
        top = x.max()
        powers = (x - top).apply("exp")
        total = powers.sum()
        y = total.apply("log") + top
        return y.from_(self, lambda g: powers * (g / total))

    def softmax(self):
        x = self.detached()
        powers = (x - x.max()).apply("exp")
        y = powers / powers.sum()
        return y.from_(self, lambda g: (g - (g * y).sum()) * y)

    def causal(self, window=0):
        if not (self.shape[-1] is LENGTH and self.shape[-2] is LENGTH):
            raise Untraceable(f"causal of {self.shape}, which are not attention scores")
        masked = lambda x, hidden: x.make(("causal", hidden, window), [x], x.shape)  # noqa: E731
        return masked(self.detached(), -math.inf).from_(self, lambda g: masked(g, 0.0))

    def pick(self, ids: Any):
        x = self.detached()
        y = x.make("pick", [x], self._row(), attr=ids.name)
        return y.from_(self, lambda g: g.make("onehot", [g], x.shape, attr=ids.name))

    def from_(self, x: Traced, pull: Pull) -> Traced:
        """Return these numbers as if computed from x with this derivative."""
        return Traced(self.node, self.shape, self.strides, self.offset, [(x, pull)])

    # Rows by index, place and distance.

    def table(self, rows):
        tables = self.node.graph.tables
        if rows not in tables:
            shape = len(rows), len(rows[0])
            tables[rows] = Traced(Node(self.node.graph, "leaf", (), shape, ("table", len(tables))))
        return tables[rows]

    def _most_places(self, places):
        return self.node.graph.block_size

    def take(self, ids: Any):
        if isinstance(ids, Places | Given):
            super().take(ids)
            index = ids.name if isinstance(ids, Given) else "place"
            back = lambda g: g.make("scatter", [g.in_rows()], self.shape, attr=index)  # noqa: E731
            return self.make("take", [self], (DOCS, LENGTH, self.shape[-1]), [back], index)
        columns = [self.T[i : i + 1] for i in ids]
        return columns[0].concat(*columns[1:]).T

    def by_distance(self, places):
        """Row t of the scores is a piece of a strip: the rows reversed, zeros before and behind."""
        (size, heads), longest = self.shape, self.node.graph.block_size
        tables = self.node.graph.tables.items() if self.is_whole() else ()
        rows = next((rows for rows, x in tables if x.node is self.node), None)
        if rows is None:
            strip = self.make("strip", [self.detached()], (heads, 2 * longest - 1), attr=longest)
        else:
            strip = self.table(strip_of(rows, longest))
        shape = DOCS, heads, LENGTH, LENGTH
        y = self.make("by_distance", [strip], shape, attr=longest)
        return y.from_(self, lambda g: g.make("distances", [g], (size, heads), attr=longest))

    # All numbers.

    def total(self):
        return self.make("total", [self], (1, 1), [lambda g: stretched(g, self.shape)])

    def norm(self):
        x = self.detached()
        return (x * x).total().apply("sqrt")

    # Matrices.

    def __matmul__(self, other: Any):
        if len(self.shape) < len(other.shape):
            raise Untraceable(f"a product of {self.shape} and {other.shape}: rows must be tokens")
        if len(self.shape) == 3 and self.shape[0] is not DOCS:
            raise Untraceable("a product of weights that are split into heads")
        shape = super().__matmul__(other).shape
        a, b = self, other
        if shape[0] is DOCS and shape[-1] is LENGTH and shape[-2] is not LENGTH:
            return (b.T @ a.T).T  # so that rows are tokens
        p, q = a.detached(), b.detached()
        if len(a.shape) > 2 and len(b.shape) == 2:
            to_b = lambda g: p.make("outer", [p, g], b.shape)  # noqa: E731
            if b.strides[0] == 1 and b.strides[1] != 1:
                to_b = lambda g: p.make("outer", [g, p], b.T.shape).T  # noqa: E731
        else:
            to_b = lambda g: p.T @ g  # noqa: E731
        return a.make("matmul", [a, b], shape, [lambda g: g @ q.T, to_b])

    @property
    def T(self):
        *lead, row, column = self.strides
        *axes, height, width = self.shape
        return self.view((*axes, width, height), (*lead, column, row), lambda g: g.T)

    def __getitem__(self, columns):
        shape = super().__getitem__(columns).shape
        start, _, step = columns.indices(self.shape[-1])
        *lead, stride = self.strides
        if same(shape, self.shape) and (step == 1 or self.shape[-1] == 1):
            return self
        back = lambda g: g.make("pad", [g], self.shape, attr=(start, step))  # noqa: E731
        return self.view(shape, (*lead, stride * step), back, start * stride)

    def concat(self, *others):
        parts: list[Any] = [self, *others]
        shape, pulls, start = super().concat(*others).shape, [], 0
        for part in parts:
            pulls.append(lambda g, i=start, j=start + part.shape[-1]: g[i:j])
            start += part.shape[-1]
        return self if not others else self.make("concat", parts, shape, pulls)

    def reshape(self, height, width):
        super().reshape(height, width)
        if (height, width) == self.shape:
            return self
        x, old = (self if self.is_dense() else self.copied()), self.shape
        return x.view((height, width), contiguous((height, width)), lambda g: g.reshape(*old))

    def in_rows(self):
        """Return the same numbers with columns side by side."""
        return self if self.strides[-1] == 1 else self.copied()

    def copied(self):
        return self.make("copy", [self], self.shape, [lambda g: g])

    def split_heads(self, heads):
        shape = super().split_heads(heads).shape
        *of_heads, row, column = self.strides
        if of_heads:
            raise Untraceable("heads that are split into heads")
        apart = "TT" if shape[-1] is LENGTH else shape[-1] * column
        return self.view(shape, (apart, row, column), lambda g: g.merge_heads())

    def merge_heads(self):
        shape = super().merge_heads().shape
        heads, width = self.shape[-3], self.shape[-1]
        apart, row, column = self.strides
        if heads != 1 and width is LENGTH:
            raise Untraceable("merge_heads of attention scores")
        if heads != 1 and apart != width * column:
            return self.copied().merge_heads()
        return self.view(shape, (row, column), lambda g: g.split_heads(heads))

    def over_heads(self):
        """(…, T, C) beside (…, heads, T, C): the same for all heads."""
        return self.view((DOCS, 1, *self.shape[1:]), (0, *self.strides), lambda g: g.merge_heads())
