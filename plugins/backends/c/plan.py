"""Decide in what order a step is computed, and which operations share a loop.

A step has three stages: before its documents (what depends on weights alone), its documents, and after them
(what depends on sums over all documents). A stage is a list of units: kernels, such as matrix products, and
loops over rows, each with as many operations on these rows as can share it. After the documents, threads can
share the updates of matrices, which do not depend on each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import prod
from typing import Any

from microgpt_lab.tensors.graph import Node, Untraceable, is_number
from microgpt_lab.tensors.shapes import Unknown

BEFORE, DOCUMENTS, AFTER = range(3)
KERNELS = ("matmul", "outer", "scatter", "concat", "strip", "distances", "headsum")
SUMS = ("total", "colsum")  # of all rows of a loop
REDUCTIONS = ("rowsum", "rowmax")
WHOLE_ROWS = ("pick", "argmax")  # they read a row that must be complete
ELSEWHERE = ("take", "pad")  # they read other numbers than those of their own row and column
# Operations to which a number that is broadcast must be given as often as it is repeated.
COUNTING = (*KERNELS, *SUMS, *REDUCTIONS, *WHOLE_ROWS, *ELSEWHERE)
LONGEST_ROW = 8192  # numbers of a row that a loop may keep on the stack
WORTH = 2_000_000  # multiply-adds after the documents from which on threads share the updates
LONGEST_LOOP = 48  # operations in a loop, so that the compiler can keep them in registers


class Unit:
    """A loop over rows, or a kernel, which has a single node and no `rows`.

    rows: the number of rows of a matrix, or ("tokens", heads). band: that of its scores, if it has any.
    update: the number of the update that it belongs to, from 1 on. 0: of none.
    """

    def __init__(self, stage: int, rows: Any, back: bool):
        self.stage, self.rows, self.back = stage, rows, back
        self.band: int | None = None
        self.update = 0
        self.nodes: list[Node] = []
        self.outs: list[Node] = []  # what others read
        self.known: set[int] = set()  # the serials of its nodes and their operands

    def add(self, node: Node) -> None:
        self.nodes.append(node)
        self.known.add(node.serial)
        self.known.update(a.node.serial for a in node.args)
        if self.band is None:
            self.band = band_of(node)

    def takes(self, node: Node, rows: Any) -> bool:
        """Whether the node, over these rows, fits into this loop and has an operand in common with it."""
        band = band_of(node)
        fits = self.rows == rows and self.back == node.back and len(self.nodes) < LONGEST_LOOP
        fits = fits and (band is None or self.band in (None, band))
        return fits and (is_number(node) or any(a.node.serial in self.known for a in node.args))


def rows_of(node: Node) -> Any:
    """Return over which rows the loop of a node runs."""
    source = node.args[0] if node.op in SUMS else node
    if isinstance(source.shape[0], Unknown):
        return "tokens", source.shape[1] if len(source.shape) == 4 else 1
    return source.shape[-2]


def band_of(node: Node) -> int | None:
    """Return the band of the scores that a node makes or reads."""
    bands = [x.band for x in (node, *(a.node for a in node.args)) if x.is_scores]
    return bands[0] if bands else None


def needed(results: list[Any]) -> list[Node]:
    """Return the nodes that the results depend on, in order, without those that only repeat numbers."""
    found: dict[int, Node] = {}
    stack = [x.node for x in results]
    while stack:
        node = stack.pop()
        if node.serial not in found:
            found[node.serial] = node
            if node.op not in COUNTING:
                node.args = [unstretched(a) for a in node.args]
            stack += [a.node for a in node.args]
    return [found[serial] for serial in sorted(found)]


def unstretched(a: Any) -> Any:
    """Return an operand before it was repeated: a loop repeats it by itself."""
    while a.node.op == "stretch" and a.is_whole():
        a = a.node.args[0]
    return a


def stages(nodes: list[Node]) -> dict[int, int]:
    """Return the stage of each node."""
    found: dict[int, int] = {}
    for node in nodes:
        operands = [a.node for a in node.args]
        docs = node.of_docs or any(x.of_docs for x in operands)
        late = any(
            found[x.serial] == AFTER or (found[x.serial] == DOCUMENTS and not x.of_docs) for x in operands
        )
        if docs and late:
            raise Untraceable("numbers of tokens depend on a sum over all documents", node.where)
        found[node.serial] = DOCUMENTS if docs else AFTER if late else BEFORE
    readers: dict[int, set[int]] = defaultdict(set)
    for node in reversed(nodes):  # what only the last stage reads is computed there
        if found[node.serial] == BEFORE and not is_number(node) and readers[node.serial] <= {AFTER}:
            found[node.serial] = AFTER
        for a in node.args:
            readers[a.node.serial].add(found[node.serial])
    return found


def units_of(nodes: list[Node], results: list[Any]) -> list[Unit]:
    """Return the units of all stages in order."""
    stage = stages(nodes)
    units: list[Unit] = []
    for each in (BEFORE, DOCUMENTS, AFTER):
        units += fused([x for x in nodes if stage[x.serial] == each and x.args], each)
    unit_of = {node.serial: unit for unit in units for node in unit.nodes}
    read = {x.node.serial for x in results}
    for unit in units:
        read |= {a.node.serial for x in unit.nodes for a in x.args if unit_of.get(a.node.serial) is not unit}
    for unit in units:
        unit.outs = [x for x in unit.nodes if x.serial in read or x.op in SUMS or has_long_rows(x)]
    return units


def has_long_rows(node: Node) -> bool:
    """Whether rows are too long for the stack, on which a loop keeps rows that it reads again."""
    return isinstance(node.shape[-1], int) and node.shape[-1] > LONGEST_ROW


def fused(nodes: list[Node], stage: int) -> list[Unit]:
    """Put each node into the first loop that can take it, or into a new one."""
    units: list[Unit] = []
    unit_of: dict[int, int] = {}  # the index of each node's unit
    for node in nodes:
        kernel = node.op in KERNELS
        rows = None if kernel else rows_of(node)
        first, done = 0, -1  # the first unit that may take it, and the last that must be complete before it
        for a in node.args:
            at = unit_of.get(a.node.serial, -1)
            first = max(first, at)
            together = at >= 0 and units[at].rows == rows and a.node.op not in SUMS and a.is_whole()
            if node.op in ELSEWHERE or not together:
                done = max(done, at)
        candidates = [] if kernel else range(max(first, done + 1), len(units))
        index = next((i for i in candidates if units[i].takes(node, rows)), None)
        if index is None:
            index = len(units)
            units.append(Unit(stage, rows, node.back))
        units[index].add(node)
        unit_of[node.serial] = index
    return units


def set_updates(units: list[Unit], outputs: Sequence[tuple[Any, Any]]) -> int:
    """Number the updates, parts of the last stage that do not depend on each other, and put them at the end.

    A unit belongs to the update that reads its results, and to none if several do. An update without a matrix
    product is not worth while. Return how many there are.
    """
    after = [unit for unit in units if unit.stage == AFTER]
    if sum(products(unit) for unit in after) < WORTH:
        return 0
    place = {node.serial: i for i, unit in enumerate(after) for node in unit.nodes}
    readers: dict[int, set[int]] = defaultdict(set)  # of each node
    for i, unit in enumerate(after):
        for node in unit.nodes:
            for a in node.args:
                readers[a.node.serial].add(i)
    later: dict[int, set[int]] = defaultdict(set)  # the units that each unit must not come after
    for serial, i in place.items():
        later[i] |= readers[serial] - {i}
    for leaf, y in outputs:  # the result may be written over the leaf
        for i in readers[leaf.node.serial]:
            later[i] |= {place.get(y.node.serial, i)} - {i}
    last: dict[int, int | None] = {}  # the last unit of the update of each unit
    for i in reversed(range(len(after))):
        ends = {last.get(j) for j in later[i]} or {i}
        last[i] = ends.pop() if len(ends) == 1 else None
    worth = {end for i, unit in enumerate(after) if (end := last[i]) is not None and products(unit)}
    numbers = {end: number for number, end in enumerate(sorted(worth), start=1)}
    for i, unit in enumerate(after):
        end = last[i]
        unit.update = numbers.get(end, 0) if end is not None else 0
    units.sort(key=lambda unit: (unit.stage, unit.update))
    return len(numbers)


def products(unit: Unit) -> int:
    """Return the multiply-adds of a unit that is a matrix product of weights."""
    node = unit.nodes[0]
    return prod((*node.shape, node.args[0].shape[-1])) if node.op == "matmul" else 0
