"""Trace the function of a scan: run it once, on tensors without numbers that write the graph of a step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import count, zip_longest
from typing import Any

from microgpt_lab import UserError
from microgpt_lab.core.backend import Batch, Block
from microgpt_lab.core.see import looking, unseen
from microgpt_lab.tensors.graph import Graph, Node, Untraceable, frame_of
from microgpt_lab.tensors.shapes import DOCS, LENGTH, TokensRead, TooFewRows
from microgpt_lab.tensors.traced import Given, Traced
from microgpt_lab.tensors.trees import leaves_of, mapped, matched

from .source import Program


def trace(
    f: Callable, carry: Any, inputs: Sequence[Any], show: Sequence[str] = (), share: bool = False
) -> Program:
    """Return the program of `f(carry, blocks, *numbers)` for a carry and inputs of these shapes.

    show: names of tensors to return instead of f's results (see `Scan.look`). UserError if a part computes
    with what is unknown until the batch is there, or something else each time, such as with a random number.
    """
    graph, *traced = write(f, carry, inputs, show)
    again, *_ = write(f, carry, inputs, show)
    for one, other in zip_longest(graph.nodes, again.nodes):
        if not one or not other or repr((one.op, one.attr)) != repr((other.op, other.attr)):
            name, place = (one or other).where
            raise UserError(f"backend=c cannot compile {name} ({place}): it differs from call to call")
    return Program(graph, *traced, share=share)


def write(f: Callable, carry: Any, inputs: Sequence[Any], show: Sequence[str]) -> tuple[Any, ...]:
    """Return the graph, its leaves, and what it computes: the new carry, results, tensors to show."""
    batch, *numbers = inputs
    graph, serial, already = Graph(batch.block_size), count(), len(TokensRead.raised)

    def leaf(kind: str, index: int, *shape: Any) -> Traced:
        return Traced(Node(graph, "leaf", (), shape, (kind, index)))

    known = mapped(carry, lambda x: leaf("carry", next(serial), *x.shape))
    given = [leaf("number", i, 1, 1) for i in range(len(numbers))]
    weight = leaf("weight", 0, DOCS, LENGTH, 1)
    block = Block(Given("ids"), Given("targets"), weight, masks(batch, leaf))
    inner = inspect.unwrap(f)  # inside of `unseen`, which would hide the names

    def named() -> Any:
        with looking(graph.look):
            return inner(known, [block], *given)

    try:
        new, results = unseen(named)()
        outputs = [(x, own_numbers(x, y)) for x, y in matched(known, new)]
        if len(TokensRead.raised) > already:  # a part has caught the error
            raise TokensRead.raised[already]
        shown = graph.called(show)
        leaves = [*leaves_of(known), *given, weight, *block.masks]
        return graph, leaves, [] if show else outputs, [] if show else list(results), shown
    except (TokensRead, TooFewRows, Untraceable) as error:
        differentiated = graph.differentiated and graph.differentiated.where
        name, place = getattr(error, "where", None) or differentiated or frame_of(error)
        instead = "; backend=numpy can compute it" if isinstance(error, Untraceable) else ""
        raise UserError(f"backend=c cannot compile {name} ({place}): {error}{instead}") from error


def own_numbers(old: Traced, new: Traced) -> Traced:
    """Return new; a copy of it where it is a view, or another leaf of the old carry, which will change."""
    is_other = new.node.op == "leaf" and new.node is not old.node
    return new.copied() if is_other or not new.is_dense() else new


def masks(batch: Batch, leaf: Callable[..., Traced]) -> list[Traced]:
    """Return the dropout masks of a batch as leaves."""
    found = []
    for dropout in batch.dropouts:
        of_tokens = "mask", (DOCS, LENGTH, dropout.width)
        kind, shape = ("score_mask", (DOCS, dropout.heads, LENGTH, LENGTH)) if dropout.heads else of_tokens
        found += [leaf(kind, i, *shape) for i in range(dropout.sites)]
    return found
