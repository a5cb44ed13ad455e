"""The graph that tracing writes: operations on views of earlier results, in the order of the model's text."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microgpt_lab.core import derived, interface, ops
from microgpt_lab.core.autograd import topological
from microgpt_lab.core.places import Table
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.tensors.shapes import LENGTH, Unknown

# Where no part is.
INSIDE = (str(Path(__file__).parent), *(str(module.__file__) for module in (derived, interface, ops)))


class Untraceable(Exception):
    """What the array protocol allows, but a graph cannot say. `where`: who computes it."""

    def __init__(self, message: str, where: tuple[str, str] | None = None):
        super().__init__(message)
        self.where = where


class Node:
    """An operation and its operands. `back` says whether it belongs to the gradient.

    Nodes with documents have rows for all tokens of a batch, one document after the other without padding:
    (DOCS, LENGTH, C) is N rows of C numbers, (DOCS, H, LENGTH, C) N rows of H · C numbers, and scores,
    (DOCS, H, LENGTH, LENGTH), are H matrices T · T for each document.
    """

    __slots__ = ("args", "attr", "back", "band", "graph", "op", "section", "serial", "shape", "where")

    def __init__(self, graph: Graph, op: Any, args: Sequence[Any], shape: Sequence[Any], attr: Any):
        self.graph, self.op, self.args, self.shape, self.attr = graph, op, list(args), tuple(shape), attr
        self.serial = len(graph.nodes)
        self.back = graph.differentiated is not None
        self.where = graph.differentiated.where if graph.differentiated else origin()
        self.section = ""  # the layer and part, such as "layer0.attention"
        self.band: int | None = None  # which of the scores a backend computes
        graph.nodes.append(self)

    @property
    def of_docs(self) -> bool:
        return bool(self.shape) and isinstance(self.shape[0], Unknown)

    @property
    def wide(self) -> bool:
        return self.shape[-1] is LENGTH or self.shape[-1] != 1

    @property
    def is_scores(self) -> bool:
        return self.shape[-1] is LENGTH

    @property
    def heads(self) -> int:
        return self.shape[1] if len(self.shape) == 4 else 1


class Graph:
    """All nodes of a step, their names, and the tables that it reads.

    differentiated: the node whose gradient is being written, if any.
    """

    def __init__(self, block_size: int):
        self.block_size = block_size
        self.nodes: list[Node] = []
        self.differentiated: Node | None = None
        self.tables: dict[Table, Any] = {}
        self.named: dict[int, tuple[Any, str]] = {}  # by the id of a tensor: it, and what `see` called it
        self.others: dict[str, str] = {}  # the first name of a tensor, by each of its names
        # The name and shape of each weight, by the serial of a node and an offset.
        self.weights: dict[tuple[int, int], tuple[str, tuple[int, ...]]] = {}

    def look(self, name: str, x: Any) -> Any:
        """Remember the name of a tensor. The first name is that of its numbers, which views share."""
        _, first = self.named.setdefault(id(x), (x, name))
        self.others.setdefault(name, first)
        return x

    def names(self) -> dict[str, Any]:
        """Return what has a name: tensors, and their gradients as "d.name"."""
        found = {name: x for x, name in reversed(self.named.values())}
        known = {name: first for name, first in self.others.items() if name not in found}
        found |= {f"d.{name}": found[f"d.{first}"] for name, first in known.items() if f"d.{first}" in found}
        return found | {name: found[first] for name, first in known.items()}

    def called(self, names: Sequence[str]) -> list[Any]:
        """Return the tensors of these names. UserError, with a suggestion, if there is none of a name."""
        found = self.names()
        for name in names:
            if name not in found:
                raise UserError(f"nothing here is called '{name}'{suggest(name, found)}")
        return [found[name] for name in names]

    def set_sections(self) -> None:
        """Tell forward nodes what part they belong to: that of the next name. Gradients follow theirs."""
        section = ""
        ends = {x.node.serial: name for x, name in self.named.values() if not name.startswith("d.")}
        for node in reversed(self.nodes):
            if not node.back:
                section = part_of(ends[node.serial]) if node.serial in ends else section
                node.section = node.section or section

    def gradients(self, y: Any) -> dict[int, Any]:
        """Add the backward pass of a number. Return the gradient of each leaf, by the leaf's id.

        Its nodes have the part and the line of the forward operation that they differentiate.
        """
        self.set_sections()
        grads, section = {id(y): y.constant(1.0)}, ""
        for x in reversed(topological(y)):
            if not x.parents:
                continue
            g, self.differentiated = grads.pop(id(x)), x.node
            section = x.node.section or section
            if id(x) in self.named:
                self.look(f"d.{self.named[id(x)][1]}", g)
            for parent, pull in zip(x.parents, x.pulls):
                start = len(self.nodes)
                grad = pull(g)
                known = grads.get(id(parent))
                grads[id(parent)] = grad if known is None else known + grad
                for node in self.nodes[start:]:
                    node.section = section
        self.differentiated = None
        return grads


def is_number(x: Any) -> bool:
    """Whether a node or tensor is a single number, which belongs to no token."""
    return len(x.shape) == 2 and tuple(x.shape) == (1, 1)


def part_of(name: str) -> str:
    """Return the layer and part of a name: "layer0.attention" of "layer0.attention.pattern"."""
    found = re.match(r"layer\d+\.(attention|mlp)", name)
    return found[0] if found else name.partition(".")[0]


def origin() -> tuple[str, str]:
    """Return who computes: the function, or the class of a part, and its file and line."""
    frame: Any = sys._getframe(2)
    while frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return described(frame, frame.f_lineno)


def frame_of(error: BaseException) -> tuple[str, str]:
    """Return who computed when an error was raised."""
    found, trace = None, error.__traceback__
    while trace:
        if not trace.tb_frame.f_code.co_filename.startswith(INSIDE):
            found = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    return described(*found) if found else ("the model", "?")


def described(frame: Any, line: int) -> tuple[str, str]:
    place = f"{Path(frame.f_code.co_filename).name}:{line}"
    while frame.f_code.co_name.startswith("<") and frame.f_back:
        frame = frame.f_back
    name, owner = frame.f_code.co_name, frame.f_locals.get("self")
    if owner is not None:
        name = type(owner).__name__ if name == "__call__" else f"{type(owner).__name__}.{name}"
    return name, place
