"""Explanations of a number, as dataclasses, and how a terminal and a notebook show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from microgpt_lab.inspection.names import UNNAMED
from microgpt_lab.inspection.rendering import View, add, in_unit, number, titled

MOST = 20  # rows of a table


@dataclass(frozen=True)
class Number:
    """A number of the computation: its name, the operation that made it ("" for a weight), data, gradient."""

    name: str
    op: str
    data: float
    grad: float


@dataclass(frozen=True)
class Parent(Number):
    """A number that another was computed from. `derivative`: that of the other by it."""

    derivative: float


@dataclass(frozen=True)
class Use(Number):
    """A number that was computed from another.

    derivative: of this number by the other.
    by_prediction: derivative · the gradient of this number of what each prediction adds to the loss.
    """

    derivative: float
    by_prediction: tuple[float, ...]

    @property
    def total(self) -> float:
        """What this use adds to the gradient of the other number."""
        return sum(self.by_prediction)


@dataclass(frozen=True, repr=False)
class Ledger(View):
    """How a number was made, and where its gradient comes from.

    names: its name, then those in tensors that share it: views, and other names of the same tensor.
    op, made_by: the operation that made it, and the source line. A weight has none.
    parents: what it was computed from. Its gradient flows to them, times `derivative`.
    pairs: of a matrix product: the pairs of numbers whose products add up to it.
    uses: what was computed from it. All numbers of `by_prediction` add up to `grad`.
    predictions: the token of each prediction, and the one before it.
    note: a sentence that says why its gradient is 0, or "".
    """

    names: tuple[str, ...]
    data: float
    grad: float
    op: str
    made_by: str
    parents: tuple[Parent, ...]
    pairs: tuple[tuple[Number, Number], ...]
    uses: tuple[Use, ...]
    predictions: tuple[str, ...]
    note: str

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def total(self) -> float:
        """The sum over uses and predictions, which is the gradient."""
        return sum(use.total for use in self.uses)

    @property
    def error(self) -> float:
        """How far the sum is from the gradient."""
        return abs(self.total - self.grad)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from lines(self, options.max_width)


def lines(ledger: Ledger, width: int) -> Iterator[Any]:
    """Yield what rich prints of a ledger, on `width` columns."""
    yield Text.assemble(
        (ledger.name, "bold"), f" = {number(ledger.data)}, with gradient {number(ledger.grad)}"
    )
    if len(ledger.names) > 1:
        yield Text(f"The same number: {', '.join(ledger.names[1:])}", "dim")
    if ledger.op:
        yield Text(f"Made by {ledger.op} in {ledger.made_by or 'the mean of the losses'}", "dim")
    if ledger.pairs:
        yield sum_of_products(ledger)
    elif ledger.parents:
        yield what_it_was_made_from(ledger)
    if any(use.total for use in ledger.uses):
        yield from where_the_gradient_comes_from(ledger, width)
    if ledger.note:
        yield Text(f"\n{ledger.note}")


def sum_of_products(ledger: Ledger) -> Table:
    table = titled("A sum of products", "", "", "*", "", "product")
    products = sorted(((x, y, x.data * y.data) for x, y in ledger.pairs), key=lambda each: -abs(each[2]))
    for x, y, product in products[:MOST]:
        add(table, named(x), number(x.data), named(y), number(y.data), number(product))
    if more := products[MOST:]:
        add(table, f"{len(more)} smaller", "", "", "", number(sum(product for *_, product in more)))
    add(table, "sum", "", "", "", number(sum(product for *_, product in products)), style="bold")
    return table


def what_it_was_made_from(ledger: Ledger) -> Table:
    table = titled("Made from", "", "data", "gradient", "derivative")
    parents = sorted(ledger.parents, key=lambda parent: -abs(parent.derivative))
    for x in parents[:MOST]:
        add(table, named(x), number(x.data), number(x.grad), number(x.derivative))
    if more := parents[MOST:]:
        add(table, f"{len(more)} with smaller derivatives", "", "", "")
    return table


def where_the_gradient_comes_from(ledger: Ledger, width: int) -> Iterator[Any]:
    """Yield the uses by the predictions, as tables of so many predictions as fit."""
    uses = sorted(ledger.uses, key=lambda use: -abs(use.total))
    rows = [(named(use), number(use.derivative), use.by_prediction) for use in uses[:MOST]]
    if more := uses[MOST:]:
        rows.append((f"{len(more)} smaller", "", tuple(map(sum, zip(*(use.by_prediction for use in more))))))
    rows.append(("sum", "", tuple(map(sum, zip(*(use.by_prediction for use in uses))))))
    unit, texts = in_unit((*parts, sum(parts)) for *_, parts in rows)
    columns = [*ledger.predictions, "sum"]
    widest = max(cell_len(text) for text in (*columns, *(text for row in texts for text in row))) + 1
    room = max(1, (width - max(len(name) for name, *_ in rows) - 1 - len("derivative ")) // widest)
    title = "Where its gradient comes from, by use and by prediction"
    yield Text(f"\n{title}, {unit}" if unit else f"\n{title}", "bold")
    for start in range(0, len(columns), room):
        if start:
            yield Text()
        shown = slice(start, start + room)
        table = titled("", "", "derivative", *columns[shown])
        for (name, derivative, _), row in zip(rows, texts, strict=True):
            add(table, name, derivative, *row[shown], style="bold" if name == "sum" else "")
        yield table
    to = f" to {ledger.error:.0e}" if ledger.error else " exactly"
    yield Text(f"It adds up to the gradient{to}.", "dim")


def named(x: Number) -> str:
    """The name of a number, with its operation if it has no other description."""
    return f"{x.name} ({x.op})" if UNNAMED.match(x.name) and x.op else x.name
