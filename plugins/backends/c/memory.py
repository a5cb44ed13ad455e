"""Decide where in memory each result of a step lies.

- carry: weights and the optimizer's state, before and after the step
- sums: gradients and losses, summed over documents; each lane of documents has its own
- mem: other results of documents; a place is used again when nothing reads it any more
- keep: what is computed before or after the documents, and tables; updates share no place
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from microgpt_lab.tensors.graph import Node
from microgpt_lab.tensors.shapes import DOCS, LENGTH

from .plan import BEFORE, DOCUMENTS, REDUCTIONS, SUMS, Unit


class Place(NamedTuple):
    """`tokens` numbers for each token, `pairs` for each pair of tokens of a document, and `fixed` others."""

    area: str
    tokens: int = 0
    pairs: int = 0
    fixed: int = 0

    def __str__(self) -> str:
        terms = ((self.tokens, "N * "), (self.pairs, "SQ * "), (self.fixed, ""))
        return " + ".join([self.area, *(f"{factor}{number}" for number, factor in terms if number)])

    def after(self, size: Place) -> Place:
        return Place(self.area, *(x + y for x, y in zip(self[1:], size[1:])))


def size_of(node: Node) -> Place:
    """Return how many numbers a node has."""
    axes = [size for size in node.shape if size is not DOCS]
    if not node.of_docs:
        return Place("", fixed=prod(axes))
    heads = axes[0] if len(axes) == 3 else 1
    return Place("", pairs=heads) if axes[-1] is LENGTH else Place("", tokens=heads * axes[-1])


class Memory:
    """The places of nodes: `home`, by their serial.

    ends: where each area ends. copies: results that are copied into the carry at the end, (leaf, result).
    packed: operands of a concat that lie where it wants them, (serial of the concat, index).
    """

    room = 16  # numbers behind each area, because products read up to 64 bytes past an operand

    def __init__(
        self, leaves: list[Any], outputs: Sequence[tuple[Any, Any]], units: list[Unit], kept: set[int]
    ):
        self.home: dict[int, Place] = {}
        self.ends = {area: Place(area) for area in ("carry", "keep", "sums", "mem")}
        self.units = units
        self.unit = {node.serial: unit for unit in units for node in unit.nodes}
        operands = ((a, i) for i, unit in enumerate(units) for node in unit.nodes for a in node.args)
        self.last_reader = {a.node.serial: i for a, i in operands}  # the index of a unit
        self.copies: list[tuple[Any, Any]] = []
        self.packed: set[tuple[int, int]] = set()
        for leaf in leaves:
            self.place_leaf(leaf.node)
        self.place_outputs(outputs)
        for unit in units:
            for node in unit.nodes:
                if node.op == "concat" and not node.of_docs and node.shape[0] == 1:
                    self.place_row(node)
        self.place_others(kept)

    def put(self, node: Node, area: str) -> None:
        self.home[node.serial] = self.ends[area]
        self.ends[area] = self.ends[area].after(size_of(node))

    def place_leaf(self, node: Node) -> None:
        """Carry, tables, and what a batch brings: numbers, weights of losses, masks."""
        kind, index = node.attr
        if kind == "carry":
            self.home[node.serial] = self.ends["carry"]
            self.ends["carry"] = self.ends["carry"].after(Place("", fixed=prod(node.shape)))
        elif kind == "table":
            self.put(node, "keep")
        else:
            apart = {
                "mask": f"batch->all * {node.shape[-1]}",
                "score_mask": f"batch->all_pairs * {node.heads}",
            }
            skipped = f" + {index} * {apart[kind]}" if index and kind in apart else ""
            self.home[node.serial] = Place(f"batch->{kind}s{skipped}")

    def place_outputs(self, outputs: Sequence[tuple[Any, Any]]) -> None:
        """Put the new carry over the old one where nothing reads the old one later."""
        for leaf, y in outputs:
            if y.node is leaf.node and y.is_whole():
                continue
            if self.can_replace(leaf, y):
                self.home[y.node.serial] = self.home[leaf.node.serial]
            else:
                self.copies.append((leaf, y))

    def can_replace(self, leaf: Any, y: Any) -> bool:
        """Whether the loop that makes y may write over the leaf."""
        unit = self.unit.get(y.node.serial)
        if unit is None or unit.rows is None or unit.stage == DOCUMENTS or y.node.serial in self.home:
            return False
        if not y.is_whole() or any(x.op in REDUCTIONS for x in unit.nodes):
            return False
        if self.last_reader.get(leaf.node.serial, -1) > self.units.index(unit):
            return False
        uses = [(x, a) for x in unit.nodes for a in x.args if a.node is leaf.node]
        return all(x.serial <= y.node.serial and a.is_whole() and a.shape == y.shape for x, a in uses)

    def place_row(self, node: Node) -> None:
        """Place the operands of a concat in the row that it makes, such as the row of all gradients."""
        if node.serial in self.home:
            return
        units = [self.unit.get(a.node.serial) for a in node.args]
        of_docs = all(unit is not None and unit.stage == DOCUMENTS for unit in units)
        area = "sums" if of_docs else "keep"
        start = self.ends[area]
        self.put(node, area)
        for i, (a, unit) in enumerate(zip(node.args, units)):
            size = Place("", fixed=prod(a.shape))
            whole = a.offset == 0 and a.is_dense() and prod(a.node.shape) == size.fixed
            if whole and unit and (of_docs or unit.stage != DOCUMENTS) and a.node.serial not in self.home:
                self.home[a.node.serial] = start
                self.packed.add((node.serial, i))
            start = start.after(size)

    def place_others(self, kept: set[int]) -> None:
        """Find places for all other results. `kept`: the serials of those that are needed at the end."""
        free: dict[tuple[str, Place, int], list[Place]] = defaultdict(list)
        ending: dict[int, list[Node]] = defaultdict(list)
        for i, unit in enumerate(self.units):
            for node in unit.outs:
                if node.serial in self.home:
                    continue
                size = size_of(node)
                area = "keep" if unit.stage != DOCUMENTS else "mem"
                if unit.stage == DOCUMENTS and (node.op in SUMS or not node.of_docs):
                    self.put(node, "sums")
                elif free[area, size, unit.update]:
                    self.home[node.serial] = free[area, size, unit.update].pop()
                else:
                    self.put(node, area)
                if self.home[node.serial].area != "sums" and unit.stage != BEFORE and node.serial not in kept:
                    ending[self.last_reader.get(node.serial, i)].append(node)
            for node in ending[i]:
                home = self.home[node.serial]
                free[home.area, size_of(node), self.unit[node.serial].update].append(home)
