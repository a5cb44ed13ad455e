"""Trace a function of a backend's scan: run it once on tensors that write the graph of its step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from microgpt_lab import UserError
from microgpt_lab.core.backend import Batch, Block
from microgpt_lab.core.see import looking, unseen
from microgpt_lab.tensors.shapes import DOCS, LENGTH, TokensRead, TooFewRows

from .graph import Graph, Node, Untraceable, frame_of
from .source import Program
from .tensor import Given, Traced


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
            raise TokensRead(TokensRead.raised[already])
        shown = named_tensors(graph, show)
        leaves = [x for x in leaves_of(known)] + [*given, weight, *block.masks]
        return Program(graph, leaves, [] if show else outputs, [] if show else list(results), shown)
    except (TokensRead, TooFewRows, Untraceable) as error:
        name, place = getattr(error, "where", None) or frame_of(error)
        raise UserError(f"backend=c cannot compile {name} ({place}): {error}") from error


def masks(batch: Batch, leaf: Callable[..., Traced]) -> list[Traced]:
    """Return the dropout masks of a batch as leaves."""
    found = []
    for dropout in batch.dropouts:
        for i in range(dropout.sites):
            if dropout.heads:
                found.append(leaf("score_mask", i, DOCS, dropout.heads, LENGTH, LENGTH))
            else:
                found.append(leaf("mask", i, DOCS, LENGTH, dropout.width))
    return found


def named_tensors(graph: Graph, names: Sequence[str]) -> list[Traced]:
    found = graph.names()
    for name in names:
        if name not in found:
            raise UserError(f"nothing here is called '{name}': there are {', '.join(sorted(found))}")
    return [found[name] for name in names]


def mapped(tree: Any, f: Callable[[Any], Any]) -> Any:
    """Apply f to the tensors of a tree of dicts and tuples."""
    if isinstance(tree, dict):
        return {key: mapped(branch, f) for key, branch in tree.items()}
    if isinstance(tree, tuple):
        branches = [mapped(branch, f) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
    return tree if tree is None else f(tree)


def leaves_of(tree: Any) -> list[Any]:
    found: list[Any] = []
    mapped(tree, found.append)
    return found


def matched(known: Any, new: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the tensors at the same places of two trees."""
    if isinstance(known, Traced) and isinstance(new, Traced):
        yield known, new
    elif isinstance(known, dict) and isinstance(new, dict) and known.keys() == new.keys():
        for key in known:
            yield from matched(known[key], new[key])
    elif isinstance(known, tuple) and isinstance(new, tuple) and len(known) == len(new):
        for pair in zip(known, new):
            yield from matched(*pair)
    elif not (known is None and new is None):
        raise UserError("an optimizer's state must be tensors, in tuples and dicts that keep their form")
