"""Print a tensor of a replay: all of its numbers, or their gradients, with labels.

>>> tensor(emma, "layer0.mlp.post").values[0]  # doctest: +SKIP
[0.0, 0.3178..., ...]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from microgpt_lab.core.autograd import Value, data_of
from microgpt_lab.errors import UserError
from microgpt_lab.inspection.names import Axis, Names
from microgpt_lab.inspection.rendering import View, add, in_unit, titled
from microgpt_lab.inspection.replay import Replay, Rows
from microgpt_lab.inspection.source import made_by

MOST = 64  # rows of a matrix, and columns


@dataclass(frozen=True, repr=False)
class Numbers(View):
    """The numbers of a tensor, or their gradients.

    name, shape: of the tensor.
    axes: what each of its axes stands for, with a label for each index.
    values: rows along the last axis, (…, C) as N rows of C.
    of_gradients: whether the values are gradients.
    op, made_by: the operation that made it, and the source line. A weight has none.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    values: Rows
    of_gradients: bool
    op: str
    made_by: str

    @property
    def matrices(self) -> list[tuple[str, Rows]]:
        """The matrices of the last two axes, each with a title: "head 0", say."""
        height = self.shape[-2]
        titles = [""]
        for axis, size in zip(self.axes[:-2], self.shape[:-2]):
            titles = [f"{title} {axis.kind or 'index'} {i}".strip() for title in titles for i in range(size)]
        return [(title, self.values[i * height : (i + 1) * height]) for i, title in enumerate(titles)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        size = " × ".join(map(str, self.shape))
        of = "gradients of " if self.of_gradients else ""
        unit, texts = in_unit(row[:MOST] for row in self.values)
        yield Text.assemble(of, (self.name, "bold"), f" ({size})", f", {unit}" if unit else "")
        if self.op:
            yield Text(f"Made by {self.op} in {self.made_by or 'the mean of the losses'}", "dim")
        height = self.shape[-2]
        for i, (title, _) in enumerate(self.matrices):
            yield from self.tables(title, texts[i * height : (i + 1) * height][:MOST], options.max_width)
        if max(self.shape[-2:]) > MOST:
            yield Text(f"… the first {MOST} of each axis are shown", "dim")

    def tables(self, title: str, texts: list[list[str]], width: int) -> Iterator[Any]:
        """Yield a matrix as tables of so many columns as fit."""
        labels, columns = ([*numbered(axis)][:MOST] for axis in self.axes[-2:])
        widest = max(cell_len(text) for text in (*columns, *(text for row in texts for text in row)))
        room = max(1, (width - max(map(cell_len, labels)) - 1) // (widest + 1))
        for start in range(0, len(columns), room):
            if start:
                yield Text()
            table = titled(title, "", *columns[start : start + room])
            for label, row in zip(labels, texts):
                add(table, label, *row[start : start + room])
            yield table


def tensor(replay: Replay, name: str, *, gradients: bool = False) -> Numbers:
    """Return the numbers of the tensor of this name, or their gradients. UserError if there is none."""
    names = Names(replay)
    full, index = names.find(name)
    if index:
        raise UserError(f"{full}:{index} is a number, not a tensor: write {full}")
    found = names.tensors[full]
    if gradients and not isinstance(found.data[0], Value):
        raise UserError(
            f"{full} has no gradients: {'it is a constant' if replay.has_gradients else replay.no_gradients}"
        )
    data = [x.grad for x in found.data] if gradients else [data_of(x) for x in found.data]
    width, origin = found.shape[-1], replay.origins.get(id(found))
    values = [data[i : i + width] for i in range(0, len(data), width)]
    op, line = (origin.op, made_by(origin)) if origin else ("", "")
    return Numbers(full, found.shape, tuple(names.axes(full)), values, gradients, op, line)


def numbered(axis: Axis) -> Iterator[str]:
    """Yield the labels of an axis: tokens of a text with their place, as they may come twice."""
    for i, label in enumerate(axis.labels):
        yield f"{i} {label}" if axis.kind == "token" else label
