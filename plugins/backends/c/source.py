"""Write a step as the text of a C file, which reads as the model does."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from microgpt_lab.tensors.bands import set_bands
from microgpt_lab.tensors.graph import Graph, Node
from microgpt_lab.tensors.shapes import DOCS, LENGTH

from .loops import Loop, indented
from .memory import Memory, Place
from .plan import AFTER, BEFORE, DOCUMENTS, Unit, needed, set_updates, units_of
from .products import Kernels

STAGES = {
    BEFORE: ("before", "What depends on the weights and the number of the step alone."),
    DOCUMENTS: ("documents", "Documents: forward, then backward. Gradients and losses are sums over them."),
    AFTER: ("after", "What depends on sums over all documents: the new weights."),
}
UPDATE = "A part of it that depends on no other."
TABLE = "static void (*const updates[])(const Batch *, const Memory *)"
FINISH = "What could not be written over the old carry, and the results."


class Program:
    """The C text of a step, and the memory that it needs.

    leaves: what it is given. outputs: pairs of a leaf of the carry and its new value. results: numbers that
    it returns for each batch. shown: tensors that stay in memory, to be looked at (see `Scan.look`). share:
    whether threads may share the updates of weights.
    """

    def __init__(
        self,
        graph: Graph,
        leaves: Sequence[Any],
        outputs: Sequence[tuple[Any, Any]],
        results: Sequence[Any],
        shown: Sequence[Any],
        share: bool,
    ):
        graph.set_sections()
        self.graph, self.results, self.shown = graph, results, shown
        wanted = [*(y for _, y in outputs), *results, *shown]
        nodes = needed(wanted)
        set_bands(nodes, wanted)
        self.units = units_of(nodes, wanted)
        updates = set_updates(self.units, outputs) if share else 0
        self.leaves = [*leaves, *graph.tables.values()]
        self.memory = Memory(self.leaves, outputs, self.units, {x.node.serial for x in wanted})
        self.sums = self.memory.ends["sums"].fixed + 8  # lanes share no line of the cache
        self.tables = {self.memory.home[x.node.serial].fixed: rows for rows, x in graph.tables.items()}
        self.work = sum(map(multiply_adds, nodes))
        self.words = {x.node.serial: word for x, word in reversed(graph.named.values())}
        self.called: dict[int, str] = {}
        self.taken = {identifier(name) for name, _ in graph.weights.values()} | C_WORDS
        self.counts: dict[str, int] = {}
        self.functions: dict[str, str] = {}  # loops by name
        self.names: dict[str, str] = {}  # by text: the same loop of another layer is the same function
        numbers = range(1, updates + 1)
        self.bodies = [self.body(stage, *STAGES[stage]) for stage in STAGES]
        self.bodies += [self.body(AFTER, f"own_update_{i}", UPDATE, i) for i in numbers]
        self.bodies.append(self.body(None, "finish", FINISH))
        table = ", ".join([*(f"own_update_{i}" for i in numbers), "0"])
        table = f"enum {{ UPDATES = {updates} }};\n" + wrapped(f"{TABLE} = {{{table}}};") + "\n"
        loops, self.kernels = self.functions.values(), header("kernels.h")
        self.text = "\n".join([self.sizes(), self.kernels, *loops, *self.bodies, table, header("steps.h")])

    def sizes(self) -> str:
        """Return the constants that kernels.h and steps.h use."""
        kinds = [x.node.attr[0] for x in self.leaves]
        widths = {x.node.attr[0]: x.shape[1] if len(x.shape) == 4 else x.shape[-1] for x in self.leaves}
        sizes = {
            "BLOCK": self.graph.block_size,
            "NUMBERS": kinds.count("number"),
            "RESULTS": len(self.results),
            "SUMS": self.sums,
            "MASKS": kinds.count("mask"),
            "MASK_WIDTH": widths.get("mask", 0),
            "SCORE_MASKS": kinds.count("score_mask"),
            "SCORE_MASK_WIDTH": widths.get("score_mask", 0),
        }
        return wrapped(f"enum {{ {', '.join(f'{name} = {size}' for name, size in sizes.items())} }};") + "\n"

    # Names.

    def pointer(self, x: Any) -> str:
        """Return the C name of a tensor's memory, and declare it where it is used first."""
        node = x.node
        if node.op == "leaf" and node.attr[0] == "number":
            return f"batch->numbers + {node.attr[1]}" if node.attr[1] else "batch->numbers"
        home, offset, shape = self.memory.home[node.serial], x.offset, node.shape
        weight = self.graph.weights.get((node.serial, offset))
        if weight and (node.shape == weight[1] or not x.is_whole()):  # not the row that begins with it
            shape, name = weight[1], identifier(weight[0])
            home, offset = Place(home.area, fixed=home.fixed + offset), 0
        else:
            name = self.called.get(node.serial) or self.new_name(node)
        if name not in self.declared:
            self.declared.add(name)
            sizes = ", ".join("T" if n is LENGTH else str(n) for n in shape if n is not DOCS)
            kind = "const real" if home.area.startswith("batch") else "real"
            self.lines.append(f"{kind} *const {name} = {home};  // ({sizes})")
        return f"{name} + {offset}" if offset else name

    def new_name(self, node: Node) -> str:
        """Name a node after what `see` calls it, or after the part that computes it."""
        if node.op == "leaf":
            kind, index = node.attr
            name = f"{kind}_{index}" if kind != "weight" else "loss_weights"
        elif node.serial in self.words:
            name = identifier(self.words[node.serial]) or "x"
        else:
            word = ("d_" if node.back else "") + owner(node).lower()
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

    def body(self, stage: int | None, name: str, why: str, update: int = 0) -> str:
        """Write a function, of a stage say, with a heading for each layer and part."""
        self.declared: set[str] = set()
        self.lines: list[str] = []
        heading = ""
        for unit in self.units:
            if unit.stage == stage and unit.update == update:
                section = re.sub(r"\W+", " ", unit.nodes[0].section or "loss") + ", backward" * unit.back
                if section != heading and stage == DOCUMENTS:
                    self.lines += ["", f"// ---- {section} ----"]
                heading = section
                self.add(unit)
        if stage is None:
            self.lines += self.finish()
        text = "\n".join(map(wrapped, self.lines))
        names = [f"{area} = m->{area}" for area in ("carry", "keep", "sums", "mem") if mentions(text, area)]
        start = [f"real *const {', *const '.join(names)};"] if names else []
        start += [f"const int64_t {n} = batch->{n};" for n in ("N", "SQ") if mentions(text, n)]
        body = "\n".join([*start, text])
        body = "".join(f"(void){name};\n" for name in ("batch", "m") if not mentions(body, name)) + body
        head = f"// {why}\nstatic void {name}(const Batch *batch, const Memory *m) {{\n"
        return f"{head}{indented(body, 2)}}}\n"

    def add(self, unit: Unit) -> None:
        """Add the statements of a unit, and write its loop as a function unless it exists."""
        start = len(self.lines)
        if unit.rows is None:
            statements = Kernels(self.pointer, self.memory).text(unit.nodes[0])
        else:
            text, arguments = Loop(unit, self.pointer, self.comment).text()
            if text not in self.names:
                words = dict.fromkeys(owner(x).lower() for x in unit.nodes)
                name = f"{'d_' * unit.back}{'_'.join(list(words)[:3])}_rows{len(self.functions)}"
                head, body = text.split(")", 1)
                self.functions[name] = f"{wrapped(f'NOINLINE void {name}{head})')}{body}"
                self.names[text] = name
            name = self.names[text]
            statements = [f"{name}({', '.join(arguments)});"]
        if statements:
            said = dict.fromkeys(" ".join(x.where) for x in unit.nodes)
            self.lines = [*self.lines[:start], f"// {'; '.join(said)}", *self.lines[start:], *statements]

    def finish(self) -> list[str]:
        """Copy what could not be written over the old carry, and the results."""
        lines = []
        for leaf, y in self.memory.copies:
            to, here = self.pointer(leaf), self.pointer(y)
            lines.append(f"memcpy({to}, {here}, {prod(y.shape)} * sizeof(real));")
        return lines + [f"m->results[{i}] = *({self.pointer(x)});" for i, x in enumerate(self.results)]


def multiply_adds(node: Node) -> int:
    """Return the multiply-adds of a matrix product per token, without a factor that is a length."""
    if node.op not in ("matmul", "outer") or not any(a.node.of_docs for a in node.args):
        return 0
    inner = node.args[0].shape[-1] if node.op == "matmul" else 1
    return prod(n for n in (*node.shape, inner) if isinstance(n, int))


def header(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def owner(node: Node) -> str:
    """Return the name of the part, or the function, that computes a node."""
    return identifier(node.where[0].split(".")[-1]) or "x"


def identifier(name: str) -> str:
    name = re.sub(r"\W", "_", name.replace("<lambda>", ""), flags=re.ASCII).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def mentions(text: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def wrapped(line: str) -> str:
    """Break a long line of C after commas."""
    if len(line) < 108 or "//" in line:
        return line
    tied = re.sub(r"(?<![,;)]) ", "\0", line)
    lines = textwrap.wrap(tied, 106, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


KEYWORDS = (
    "auto char continue default do extern float goto long register short signed union unsigned volatile"
)
C_WORDS = {
    *KEYWORDS.split(),
    *re.findall(r"\w+", re.sub("//.*", "", header("kernels.h") + header("steps.h"))),
}
