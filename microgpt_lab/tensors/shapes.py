"""Tensors that have a shape but no numbers, like those on PyTorch's meta device.

A model computes with them in milliseconds. They count the multiply-adds of matrix products and the numbers of
the tensors that a model makes. They show that no part reads the number of documents or tokens: `DOCS` and
`LENGTH` in a shape raise an error when they are used as numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, NamedTuple

from microgpt_lab.core.interface import Matrix, Shape
from microgpt_lab.core.model import GPT
from microgpt_lab.core.places import Places, Table
from microgpt_lab.core.see import unseen


class TokensRead(TypeError):
    """A part asked for the number of documents or tokens, or for single tokens or numbers.

    raised: all such errors, also those that a part has caught.
    """

    raised: ClassVar[list[TokensRead]] = []

    def __init__(self, message: str):
        super().__init__(message)
        self.raised.append(self)


class TooFewRows(ValueError):
    """A part takes rows of a table for all places, but it has fewer."""


class Unknown:
    """An unknown size: all arithmetic and comparison with it raises TokensRead. It is at most `largest`."""

    __slots__ = ("largest", "what")
    __hash__ = object.__hash__

    def __init__(self, what: str, largest: int = 0):
        self.what, self.largest = what, largest

    def __repr__(self) -> str:
        return self.what

    def _refuse(self, *_: Any) -> Any:
        raise TokensRead(
            f"a part must not read the number of {self.what}: declare tables(gpt), with a row for each place "
            "or distance up to block_size, and use table.take(places) or table.by_distance(places)"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __pow__ = __rpow__ = (
        _refuse
    )
    __neg__ = __abs__ = __round__ = __index__ = __int__ = __float__ = __bool__ = __iter__ = __len__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


DOCS, LENGTH = Unknown("documents"), Unknown("tokens")
Size = int | Unknown


class Tokens:
    """Ids or targets of this shape, (…, T), for `take` and `pick` alone."""

    def __init__(self, *shape: Size):
        self.shape = shape

    def __repr__(self) -> str:
        return f"Tokens{self.shape}"

    def _refuse(self, *_: Any) -> Any:
        raise TokensRead("a part must not read single tokens: use w.take(ids) or x.pick(ids)")

    __iter__ = __len__ = __getitem__ = __contains__ = __bool__ = __eq__ = _refuse
    __hash__ = object.__hash__


class Counted(NamedTuple):
    """What a computation with shapes has counted so far, where all sizes are known.

    products: the multiply-adds of each matrix product.
    made: the numbers of each tensor that an operation makes. Views (slices, transposes, heads) make none.
    """

    products: list[int]
    made: list[int]


class ShapeTensor:
    """A shape (…, T, C), with the operations of the array protocol (docs/backends.md).

    `counted` is shared by results and operands.
    """

    __slots__ = ("counted", "shape")
    __hash__ = object.__hash__

    def __init__(self, shape: Sequence[Size], counted: Counted | None = None):
        self.shape: tuple[Any, ...] = tuple(shape)
        self.counted = counted or Counted([], [])

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the array protocol has no '{name}' (docs/backends.md); see microgpt_lab.ops")

    def _view(self, *shape: Size) -> ShapeTensor:
        return ShapeTensor(shape, self.counted)

    def _like(self, *shape: Size) -> ShapeTensor:
        known = [size for size in shape if not isinstance(size, Unknown)]
        if len(known) == len(shape):
            self.counted.made.append(prod(known))
        return self._view(*shape)

    def _each(self, *others: Any) -> Any:
        shape = self.shape
        for other in others:
            if isinstance(other, ShapeTensor):
                shape = common_shape(shape, other.shape)
            elif isinstance(other, Unknown):
                other._refuse()
            elif not isinstance(other, int | float):
                return NotImplemented
        return self._like(*shape)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _each
    __gt__ = __lt__ = where = _each

    def _same(self, *arguments: Any) -> Any:
        for each in arguments:
            if isinstance(each, Unknown):
                each._refuse()
        return self._like(*self.shape)

    __neg__ = __pow__ = __rpow__ = apply = softmax = causal = _same

    def _refuse(self, *_: Any) -> Any:
        raise TokensRead("a part must not read single numbers: use where(condition, a, b)")

    __bool__ = __float__ = __int__ = __iter__ = __len__ = __eq__ = tolist = item = _refuse

    def _row(self) -> ShapeTensor:
        return self._like(*self.shape[:-1], 1)

    sum = max = logsumexp = _row

    def total(self) -> ShapeTensor:
        if self.unknown:
            raise TokensRead(
                "a part must not use total or norm of tokens: they include the padding of a batch"
            )
        return self._like(1, 1)

    norm = total

    @property
    def unknown(self) -> bool:
        """Whether DOCS or LENGTH is in the shape."""
        return any(isinstance(size, Unknown) for size in self.shape)

    def table(self, rows: Table) -> ShapeTensor:
        return self._like(len(rows), len(rows[0]))

    @property
    def T(self) -> ShapeTensor:
        *lead, height, width = self.shape
        return self._view(*lead, width, height)

    def __getitem__(self, columns: slice) -> ShapeTensor:
        width = self.shape[-1]
        if isinstance(width, Unknown):
            raise TokensRead("a part must not slice along the tokens: use causal(window), or a table")
        if not isinstance(columns, slice):
            raise TypeError(f"a tensor has slices of its last axis, such as x[:2], and no x[{columns}]")
        return self._view(*self.shape[:-1], len(range(*columns.indices(width))))

    def concat(self, *others: ShapeTensor) -> ShapeTensor:
        if not others:
            return self
        *lead, width = self.shape
        for other in others:
            if not same(self.shape[:-1], other.shape[:-1]):
                raise ValueError(f"cannot concatenate {self.shape} and {other.shape}")
            width = width + other.shape[-1]
        return self._like(*lead, width)

    def reshape(self, height: int, width: int) -> ShapeTensor:
        if self.unknown:
            raise TokensRead("a part must not reshape tokens: use split_heads, merge_heads or T")
        if prod(self.shape) != height * width:
            raise ValueError(f"cannot reshape {self.shape} to {(height, width)}")
        return self._view(height, width)

    def split_heads(self, heads: int) -> ShapeTensor:
        *lead, height, width = self.shape
        if heads != 1 and width % heads:
            raise ValueError(f"cannot split {self.shape} into {heads} heads")
        return self._view(*lead, heads, height, width if heads == 1 else width // heads)

    def merge_heads(self) -> ShapeTensor:
        *lead, heads, height, width = self.shape
        return self._view(*lead, height, width if heads == 1 else heads * width)

    def _most_places(self, places: Places) -> int:
        return places.stop.largest if isinstance(places.stop, Unknown) else places.stop

    def take(self, ids: Tokens | Places | Sequence[int]) -> ShapeTensor:
        if isinstance(ids, Places):
            rows = self.shape[0]
            if rows < (needed := self._most_places(ids)):
                raise TooFewRows(
                    f"take(places) of a table with {rows} rows, for up to {needed} places: "
                    "declare a row for each place up to block_size"
                )
            return self._like(count(ids), self.shape[-1])
        shape = ids.shape if isinstance(ids, Tokens) else (len(ids),)
        return self._like(*shape, self.shape[-1])

    def by_distance(self, places: Places) -> ShapeTensor:
        return self._like(self.shape[-1], count(places), places.stop)

    def pick(self, ids: Tokens) -> ShapeTensor:
        return self._row()

    def __matmul__(self, other: ShapeTensor) -> ShapeTensor:
        *lead, height, inner = self.shape
        *others, inner2, width = other.shape
        if not same([inner], [inner2]) or (others and not same(lead, others)):
            raise ValueError(f"cannot multiply {self.shape} by {other.shape}")
        if not (self.unknown or other.unknown):
            self.counted.products.append(prod(self.shape) * width)
        return self._like(*lead, height, width)


def count(places: Places) -> Size:
    """Return the number of places."""
    return places.stop - places.start if places.start else places.stop


def same(a: Sequence[Size], b: Sequence[Size]) -> bool:
    """Whether two shapes are equal. DOCS and LENGTH are equal to themselves alone."""
    return len(a) == len(b) and all(
        x is y or (isinstance(x, int) and isinstance(y, int) and x == y) for x, y in zip(a, b)
    )


def common_shape(a: Sequence[Size], b: Sequence[Size]) -> list[Size]:
    """Return the shape that both are broadcast to."""
    longest = max(len(a), len(b))
    pairs = zip([1] * (longest - len(a)) + [*a], [1] * (longest - len(b)) + [*b], strict=True)
    sizes: list[Size] = []
    for x, y in pairs:
        if not (same([x], [y]) or same([x], [1]) or same([y], [1])):
            raise ValueError(f"shapes {tuple(a)} and {tuple(b)} cannot be broadcast together")
        sizes.append(y if same([x], [1]) else x)
    return sizes


def weight_shapes(model: GPT, counted: Counted | None = None) -> dict[str, ShapeTensor]:
    """Return the weights of a model as shapes."""
    return {name: ShapeTensor(size_of(each), counted) for name, each in model.declared.items()}


def on_shapes(model: GPT, *lead: Size, dropout: bool = True) -> tuple[list[ShapeTensor], Counted]:
    """Compute `model.objective` of tokens of this shape, (…, T), with dropout or without, on shapes alone.

    Returns its results, and what it counted.
    """
    counted = Counted([], [])
    *docs, length = lead
    masks = [(*lead, model.embed)] * model.dropout_sites
    masks += [(*docs, model.heads, length, length)] * model.layers
    tokens: Any = Tokens(*lead)
    masks = [ShapeTensor(mask, counted) for mask in masks] if dropout else []
    return model.objective(weight_shapes(model, counted), tokens, tokens, masks), counted


def size_of(each: Shape | Matrix) -> tuple[int, int]:
    """Return the shape of a weight as a part declares it."""
    return (each.out, each.in_) if isinstance(each, Shape) else (len(each), len(each[0]))


def flops_per_token(model: GPT) -> int:
    """Count the floating-point operations of training, forward and backward, for each token.

    They are 3 · 2 · the multiply-adds of all matrix products of a forward pass over a whole block, divided by
    block_size: the backward pass has two products for each, and a multiply-add counts as two operations
    (Kaplan et al., 2020). Products with masked scores count, because they run.
    """
    _, counted = unseen(on_shapes)(model, model.block_size)
    return 6 * sum(counted.products) // model.block_size
