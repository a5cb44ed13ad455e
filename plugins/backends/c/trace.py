"""Trace a function of a backend's scan: run it once on tensors that write the graph of its step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from microgpt_lab import UserError
from microgpt_lab.core.backend import Batch, Block
from microgpt_lab.core.see import looking, unseen
from microgpt_lab.tensors.graph import Graph, Node, Untraceable, frame_of
from microgpt_lab.tensors.shapes import DOCS, LENGTH, TokensRead, TooFewRows
from microgpt_lab.tensors.traced import Given, Traced
from microgpt_lab.tensors.trees import leaves_of, mapped, matched

from .source import Program


def trace(f: Callable, carry: Any, inputs: Sequence[Any], show: Sequence[str] = ()) -> Program:
    """Return the program of `f(carry, blocks, *numbers)` for a carry and inputs of these shapes.

    show: names of tensors to return instead of f's results (see `Scan.look`). UserError if a part computes
    with what is unknown until the batch is there.
    """
    batch, *numbers = inputs
    graph, serial, already = Graph(batch.block_size), count(), len(TokensRead.raised)

    def leaf(kind: str, index: int, *shape: Any) -> Traced:
        return Traced(Node(graph, "leaf", (), shape, (kind, index)))

    known = mapped(carry, lambda x: leaf("carry", next(serial), *x.shape))
    given = [leaf("number", i, 1, 1) for i in range(len(numbers))]
    weight = leaf("weight", 0, DOCS, LENGTH, 1)
    block = Block(Given("ids"), Given("targets"), weight, masks(batch, leaf))
    inner = inspect.unwrap(f)

    def named() -> Any:
        with looking(graph.look):
            return inner(known, [block], *given)

    try:
        new, results = unseen(named)()
        outputs = [(x, y if y.is_dense() else y.copied()) for x, y in matched(known, new)]
        if len(TokensRead.raised) > already:  # a part has caught the error
            raise TokensRead.raised[already]
        shown = named_tensors(graph, show)
        leaves = [*leaves_of(known), *given, weight, *block.masks]
        return Program(graph, leaves, [] if show else outputs, [] if show else list(results), shown)
    except (TokensRead, TooFewRows, Untraceable) as error:
        differentiated = graph.differentiated and graph.differentiated.where
        name, place = getattr(error, "where", None) or differentiated or frame_of(error)
        raise UserError(f"backend=c cannot compile {name} ({place}): {error}") from error


def masks(batch: Batch, leaf: Callable[..., Traced]) -> list[Traced]:
    """Return the dropout masks of a batch as leaves."""
    return [
        leaf("score_mask", i, DOCS, dropout.heads, LENGTH, LENGTH)
        if dropout.heads
        else leaf("mask", i, DOCS, LENGTH, dropout.width)
        for dropout in batch.dropouts
        for i in range(dropout.sites)
    ]


def named_tensors(graph: Graph, names: Sequence[str]) -> list[Traced]:
    found = graph.names()
    for name in names:
        if name not in found:
            raise UserError(f"nothing here is called '{name}': there are {', '.join(sorted(found))}")
    return [found[name] for name in names]
