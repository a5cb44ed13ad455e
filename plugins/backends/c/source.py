"""A step as the text of a C file, which reads as the model does."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

from microgpt_lab.tensors.shapes import DOCS, LENGTH, Unknown

from .bands import set_bands
from .graph import Graph, Node
from .loops import Loop, indented
from .memory import Memory, Place
from .plan import AFTER, BEFORE, DOCUMENTS, Unit, needed, units_of
from .products import Kernels
from .tensor import Traced

STAGES = {BEFORE: "before", DOCUMENTS: "documents", AFTER: "after"}
WHY = {
    BEFORE: "What depends on the weights and the number of the step alone.",
    DOCUMENTS: "The documents of a lane: forward, then backward. Their gradients and losses go into sums.",
    AFTER: "What depends on sums over all documents: the new weights.",
}


class Program:
    """The C text of a step, and the memory that it needs.

    leaves: what it is given. outputs: pairs of a leaf of the carry and its new value. results: numbers that
    it returns for each batch. shown: tensors of documents that it returns instead (see `Scan.look`).
    """

    def __init__(
        self,
        graph: Graph,
        leaves: list[Any],
        outputs: list[tuple[Any, Any]],
        results: list[Any],
        shown: list[Any],
    ):
        self.graph, self.shown = graph, shown
        ends = [*(y for _, y in outputs), *results, *shown]
        graph.set_sections()
        nodes = needed(ends)
        set_bands(nodes, ends)
        self.units = units_of(nodes, ends)
        self.leaves = [*leaves, *graph.tables.values()]
        kept = {x.node.serial for x in ends}
        self.memory = Memory(self.leaves, outputs, self.units, kept)
        self.tables = {self.memory.home[x.node.serial].fixed: rows for rows, x in graph.tables.items()}
        self.words = {x.node.serial: word for x, word in reversed(graph.named.values())}
        self.called: dict[int, str] = {}
        self.taken = {identifier(name) for name in graph.weights.values()} | C_WORDS
        self.counts: dict[str, int] = {}
        self.functions: dict[str, str] = {}  # by text: the same loop of another layer is the same function
        self.results = results
        self.work = sum(prod(n for n in x.shape if isinstance(n, int)) for x in nodes if x.op == "matmul")
        self.text = self.write()

    # Names.

    def pointer(self, x: Any) -> str:
        """Return the C name of a tensor's memory, and declare it in the function that is being written."""
        node = x.node
        if node.op == "leaf" and node.attr[0] == "number":
            return f"batch->numbers + {node.attr[1]}"
        home, offset = self.memory.home[node.serial], x.offset
        weight = self.graph.weights.get((node.serial, offset))
        if weight:
            name, home, offset = identifier(weight), Place(home.area, fixed=home.fixed + offset), 0
        else:
            name = self.called.get(node.serial) or self.new_name(node)
        self.declared.setdefault(name, (str(home), shape_of(node)))
        return f"{name} + {offset}" if offset else name

    def new_name(self, node: Node) -> str:
        """Name a node after what `see` calls it, or after the part that computes it."""
        if node.op == "leaf":
            kind, index = node.attr
            name = f"{kind}_{index}" if kind != "weight" else "loss_weights"
        elif node.serial in self.words:
            name = identifier(self.words[node.serial]) or "x"
        else:
            word = ("d_" if node.back else "") + (identifier(node.where[0].split(".")[-1]).lower() or "x")
            self.counts[word] = self.counts.get(word, 0) + 1
            name = f"{word}_{self.counts[word]}"
        while name in self.called.values() or name in self.taken:
            name += "_"
        self.called[node.serial] = name
        return name

    def comment(self, node: Node) -> str:
        """Return the name of what a loop computes, without the number of the layer: layers share loops."""
        word = self.words.get(node.serial, "")
        word = re.sub(r"[^\w.]", "_", re.sub(r"layer[0-9]+", "layer", word))
        return f"  // {word}" if word else ""

    # Text.

    def write(self) -> str:
        bodies = [self.body(stage) for stage in STAGES]
        sizes = {
            "BLOCK": self.graph.block_size,
            "NUMBERS": sum(x.node.attr[0] == "number" for x in self.leaves),
            "RESULTS": len(self.results),
            "SUMS": self.memory.ends["sums"].fixed + 8,
        }
        masks = [x for x in self.leaves if x.node.attr[0] in ("mask", "score_mask")]
        for kind in ("mask", "score_mask"):
            each = [x for x in masks if x.node.attr[0] == kind]
            sizes[f"{kind.upper()}S"] = len(each)
            sizes[f"{kind.upper()}_WIDTH"] = (
                (each[0].node.heads if kind == "score_mask" else each[0].shape[-1]) if each else 0
            )
        constants = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        parts = [
            f"enum {{ {constants} }};\n",
            part("kernels.h"),
            *self.functions.values(),
            *bodies,
            part("steps.h"),
        ]
        return "\n".join(parts)

    def body(self, stage: int) -> str:
        """Write the function of a stage, with a heading for each layer and part."""
        self.declared: dict[str, tuple[str, str]] = {}
        lines: list[str] = []
        heading = ""
        for unit in self.units:
            if unit.stage != stage:
                continue
            here = unit.nodes[0].section + (", backward" if unit.back else "")
            if here != heading:
                heading = here
                lines += ["", f"// ---- {heading.replace('.', ' ')}"]
            lines += [f"// {said(unit)}", *self.unit_text(unit)]
        lines += {DOCUMENTS: self.show, AFTER: self.finish}.get(stage, list)()
        pointers = [
            f"{'const ' if home.startswith('batch') else ''}real *const {name} = {home};  // {shape}"
            for name, (home, shape) in self.declared.items()
        ]
        head = f"// {WHY[stage]}\nstatic void {STAGES[stage]}(const Batch *batch, const Memory *m) {{\n"
        start = [
            "const int64_t N = batch->N, SQ = batch->SQ;",
            "real *const carry = m->carry, *const keep = m->keep, *const sums = m->sums, *const mem = m->mem;",
            "(void)N, (void)SQ, (void)carry, (void)keep, (void)sums, (void)mem;",
        ]
        return head + indented("\n".join([*start, *pointers, *lines]), 2) + "}\n"

    def unit_text(self, unit: Unit) -> list[str]:
        if unit.rows is None:
            return Kernels(self.pointer, self.memory).text(unit.nodes[0])
        text, arguments = Loop(unit, self.pointer, self.comment).text()
        if text not in self.functions:
            self.functions[text] = ""
            name = self.function_name(unit)
            self.functions[text] = f"NOINLINE void {name}{text}"
        name = self.functions[text].partition("(")[0].split()[-1]
        return [f"{name}({', '.join(['batch', 'N', *arguments])});"]

    def function_name(self, unit: Unit) -> str:
        words = dict.fromkeys(identifier(x.where[0].split(".")[-1]).lower() or "f" for x in unit.nodes)
        back = "d_" if unit.back else ""
        return f"{back}{'_'.join(list(words)[:3])}_rows{len(self.functions)}"

    def finish(self) -> list[str]:
        """Copy what could not be written over the old carry, and the results."""
        saved, late = [], []
        for leaf, y in self.memory.copies:
            here, size = self.pointer(y), prod(y.shape)
            if y.node.op == "leaf":  # it may be overwritten too: all are saved before any is
                keep = self.memory.ends["keep"].fixed
                self.memory.ends["keep"] = Place("keep", fixed=keep + size)
                saved.append(f"memcpy(keep + {keep}, {here}, {size} * sizeof(real));")
                here = f"keep + {keep}"
            late.append(f"memcpy({self.pointer(leaf)}, {here}, {size} * sizeof(real));")
        results = [f"m->results[{i}] = *({self.pointer(x)});" for i, x in enumerate(self.results)]
        return [*saved, *late, *results]

    def show(self) -> list[str]:
        """Return tensors of documents: document by document, each (heads,) T, C."""
        lines, size = [], Place("m->results")
        for x in self.shown:
            heads, width = (x.shape[1] if len(x.shape) == 4 else 1), x.shape[-1]
            scores = width is LENGTH and x.shape[-2] is LENGTH
            C = "T" if width is LENGTH else width
            start = (
                f"nn * {heads}" if scores else f"n * {heads * (x.shape[-2] if width is LENGTH else width)}"
            )
            rows = "T" if x.shape[-2] is LENGTH else x.shape[-2]
            lines += [
                f"EACH_DOCUMENT for (int64_t h = 0; h < {heads}; h++)",
                f"  for (int64_t r = 0; r < {rows}; r++) for (int64_t c = 0; c < {C}; c++)",
                f"    ({size})[{start} + (h * {rows} + r) * {C} + c] = {self.element(x)};",
            ]
            fixed = heads * (x.shape[-2] if width is LENGTH else width) if not scores else 0
            size = size.after(Place("", pairs=heads) if scores else Place("", tokens=fixed))
        return lines

    def element(self, x: Any) -> str:
        """Return a number of a shown tensor: of head h, row r, column c."""
        row, column = x.strides[-2:]
        if "T" in x.strides:
            heads = x.shape[1] if len(x.shape) == 4 else 1
            place = "r * T + c" if column == 1 else "c * T + r"
            return f"({self.pointer(x)})[nn * {heads} + h * T * T + {place}]"
        apart = x.strides[0] if len(x.shape) == 4 else 0
        token = "(n + r)" if x.shape[-2] is LENGTH else "r"
        other = "c" if x.shape[-2] is LENGTH else "(n + c)"
        return f"({self.pointer(x)})[h * {apart} + {token} * {row} + {other} * {column}]"


def part(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def identifier(name: str) -> str:
    name = re.sub(r"\W", "_", name, flags=re.ASCII).replace("_lambda_", "").strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def shape_of(node: Node) -> str:
    sizes = ("T" if x is LENGTH else str(x) for x in node.shape if x is not DOCS)
    return f"({', '.join(sizes)})"


def said(unit: Unit) -> str:
    """Return which lines of which parts a unit computes."""
    return "; ".join(dict.fromkeys(" ".join(x.where) for x in unit.nodes))


KEYWORDS = "auto char continue default do extern float goto long register short signed union unsigned volatile"
C_WORDS = {*KEYWORDS.split(), *re.findall(r"\w+", part("kernels.h") + part("steps.h"))}

__all__ = ["Program", "Traced", "Unknown"]
