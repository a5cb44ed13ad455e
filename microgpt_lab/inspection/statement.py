"""Show a ledger in a terminal, or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from microgpt_lab.inspection.names import UNNAMED
from microgpt_lab.inspection.rendering import add, number, titled

if TYPE_CHECKING:
    from microgpt_lab.inspection.ledger import Ledger, Number

MOST = 20  # rows of a table
WIDE = 11  # width of a column of numbers


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
    uses = sorted(ledger.uses, key=lambda use: -abs(use.total))
    rows = [(f"{use.name} ({use.op})", number(use.derivative), use.by_prediction) for use in uses[:MOST]]
    if more := uses[MOST:]:
        rows.append((f"{len(more)} smaller", "", tuple(map(sum, zip(*(use.by_prediction for use in more))))))
    rows.append(("sum", "", tuple(map(sum, zip(*(use.by_prediction for use in uses))))))
    room = max(1, (width - max(len(name) for name, *_ in rows)) // WIDE - 2)
    title = "Where its gradient comes from, by use and by prediction"
    for start in range(0, len(ledger.predictions), room):
        shown = slice(start, start + room)
        is_last = start + room >= len(ledger.predictions)
        table = titled(title, "", "derivative", *ledger.predictions[shown], *["sum"] * is_last)
        for name, derivative, parts in rows:
            sums = [number(sum(parts))] if is_last else []
            add(
                table,
                name,
                derivative,
                *map(number, parts[shown]),
                *sums,
                style="bold" if name == "sum" else "",
            )
        yield table
        title = ""
    yield Text(f"The sum and the gradient differ by {ledger.error:.0e}.", "dim")


def named(x: Number) -> str:
    """The name of a number, with its operation if it has no other description."""
    return f"{x.name} ({x.op})" if UNNAMED.match(x.name) and x.op else x.name
