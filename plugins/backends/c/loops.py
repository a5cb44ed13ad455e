"""Write operations that share rows as a C function with one loop over the rows.

The operations of a row are in passes. A pass computes single numbers of the row, then runs loops over its
columns, one for each width. What needs a sum or maximum over a row is in the pass after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from typing import Any

from microgpt_lab.tensors.bands import ALL
from microgpt_lab.tensors.graph import Node, is_number
from microgpt_lab.tensors.shapes import DOCS, LENGTH, same
from microgpt_lab.tensors.traced import Traced

from .plan import REDUCTIONS, SUMS, WHOLE_ROWS, Unit

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "lt": "<"}
EACH = {
    **{name: f"{{0}} {sign} {{1}}" for name, sign in SIGNS.items()},
    **{name: f"{name}_({{0}})" for name in ("exp", "log", "tanh", "erf", "sigmoid", "softplus")},
    **dict.fromkeys(("copy", "stretch"), "{0}"),
    "neg": "-{0}",
    "sqrt": "sqrt({0})",
    "abs": "fabs({0})",
    "relu": "{0} <= 0 ? 0 : {0}",
    "sign": "({0} > 0) - ({0} < 0)",
    "where": "{0} != 0 ? {1} : {2}",
}
POWERS = {
    2: "{0} * {0}",
    3: "{0} * {0} * {0}",
    -1: "1 / {0}",
    0.5: "sqrt({0})",
    -0.5: "1 / sqrt({0})",
    0: "1",
}
# Where a reduction starts, its name in OpenMP, and its step.
REDUCED = {
    "rowsum": ("0", "+", "{v} += {x};"),
    "rowmax": ("-INFINITY", "max", "{v} = {v} > {x} ? {v} : {x};"),
}
GIVEN = {"batch": ("const Batch *batch", r"\bbatch\b|EACH_DOCUMENT"), "N": ("int64_t N", r"\bN\b")}


def number(x: float) -> str:
    text = {inf: "INFINITY", -inf: "-INFINITY"}.get(x) or ("NAN" if x != x else repr(x))
    return f"(real){text}" if text[-1].isdigit() else text


def indented(text: str, by: int) -> str:
    return "".join((line and " " * by + line) + "\n" for line in text.splitlines())


class Loop:
    """The text of a loop. Outside of its function, `pointer(x)` is the C name of a tensor's memory."""

    def __init__(self, unit: Unit, pointer: Callable[[Any], str], comment: Callable[[Node], str]):
        self.unit, self.pointer, self.comment = unit, pointer, comment
        self.inside = {node.serial: f"v{i}" for i, node in enumerate(unit.nodes)}
        self.stored = {node.serial for node in unit.outs if node.op not in SUMS}
        self.parameters: dict[str, str] = {}
        self.written: set[str] = set()
        self.scalars: dict[str, str] = {}  # numbers that are the same for all rows
        self.indices: set[str] = set()  # ids, targets, places
        self.before: list[str] = []
        self.after: list[str] = []
        self.scores = any(x.is_scores or any(a.node.is_scores for a in x.args) for x in unit.nodes)
        self.passes = self.ready_in()
        read = [(x, a.node) for x in unit.nodes for a in x.args if a.node.serial in self.inside]
        self.rows_kept = {m.serial for x, m in read if m.wide and self.reads_later(x, m)} - self.stored
        self.flat = self.is_flat()

    def ready_in(self) -> dict[int, int]:
        """Return the pass in which each operation has its result."""
        found: dict[int, int] = {}
        for node in self.unit.nodes:
            ready = max((found[a.node.serial] for a in node.args if a.node.serial in found), default=0)
            found[node.serial] = ready + (node.op in (*REDUCTIONS, *WHOLE_ROWS))
        return found

    def runs_in(self, node: Node) -> int:
        return self.passes[node.serial] - (node.op in REDUCTIONS)

    def reads_later(self, reader: Node, made: Node) -> bool:
        return reader.op in WHOLE_ROWS or self.runs_in(reader) != self.passes[made.serial]

    def is_flat(self) -> bool:
        """Whether all operands lie alike, so that rows need not be told apart."""
        nodes = self.unit.nodes
        first = next((x.shape for x in nodes if not is_number(x)), (1, 1))

        def alike(a: Any) -> bool:
            return (same(a.shape, first) and a.is_dense()) or is_number(a) or a.node.serial in self.inside

        return not self.scores and all(
            (x.op in EACH or x.op[0] in ("pow", "rpow"))
            and x.wide
            and same(x.shape, first)
            and all(map(alike, x.args))
            for x in nodes
        )

    # Operands.

    def parameter(self, x: Any, written: bool = False) -> str:
        pointer = self.pointer(x)
        name = self.parameters.setdefault(pointer, f"p{len(self.parameters)}")
        if written:
            self.written.add(name)
        return name

    def address(self, x: Any, c: str = "c", written: bool = False) -> str:
        """Return the C expression of a number of x in this row and column."""
        p = self.parameter(x, written)
        if is_number(x):
            return f"{p}[0]"
        if self.flat:
            return f"{p}[c]"
        axes = x.shape[1:] if x.shape[0] is DOCS else x.shape
        if "T" in x.strides:
            place = f"t * T + {c}" if x.strides[-1] == 1 else f"{c} * T + t"
            heads = axes[0] if len(axes) == 3 else 1
            return f"{p}[nn * {heads} + {f'h * T * T + {place}' if heads > 1 else place}]"
        strides = [0 if same([size], [1]) else stride for stride, size in zip(x.strides, axes)]
        terms = zip(("h", "n", c)[-len(strides) :], strides)
        text = " + ".join(v if stride == 1 else f"{v} * {stride}" for v, stride in terms if stride)
        return f"{p}[{text or '0'}]"

    def operand(self, a: Any, now: int, c: str = "c") -> str:
        """Return an operand as it is read in a pass, at a column."""
        node = a.node
        if node.op == "const":
            return number(node.attr)
        if name := self.inside.get(node.serial):
            if not node.wide or (self.passes[node.serial] == now and c == "c"):
                return name
            if node.serial in self.stored:
                return self.address(a, c)
            return f"{name}_row[{c}]"
        if is_number(a):
            p = self.parameter(a)
            return self.scalars.setdefault(p, f"s{p[1:]}")
        return self.address(a, c)

    def expression(self, node: Node, now: int) -> str:
        """Return the C expression of a number of this row and column."""
        op, attr, first = node.op, node.attr, node.args[0]
        if op == "by_distance":
            strip = f"h * {first.strides[0]} + " if first.shape[0] > 1 else ""
            return f"{self.parameter(first)}[{strip}{attr - 1} - t + c]"
        if op == "take":
            self.indices.add(attr)
            stride = first.strides[1]
            column = f" + c{f' * {stride}' if stride != 1 else ''}" if node.wide else ""
            return f"{self.parameter(first)}[{attr}[n] * {first.strides[0]}{column}]"
        if op == "pad":
            start, step = attr
            low, high = sorted((start, start + (first.shape[-1] - 1) * step))
            here = f"c >= {low} && c <= {high}" + (f" && (c - {start}) % {step} == 0" if step != 1 else "")
            column = f"(c - {start})" + (f" / ({step})" if step != 1 else "")
            return f"{here} ? {self.operand(first, now, column)} : 0"
        x = [self.operand(a, now) for a in node.args]
        if op == "onehot":
            if attr:
                self.indices.add(attr)
            return f"c == {f'{attr}[n]' if attr else x[1]} ? {x[0]} : 0"
        if isinstance(op, tuple):
            if op[0] == "causal":
                window = f" && c + {op[2]} > t" if op[2] else ""
                return f"c <= t{window} ? {x[0]} : {number(op[1])}"
            if op[0] == "pow":
                return POWERS.get(op[1], "pow({0}, " + number(op[1]) + ")").format(*x)
            return f"pow({number(op[1])}, {x[0]})"
        return EACH[op].format(*x)

    # Statements.

    def single(self, node: Node, now: int) -> list[str]:
        """Compute a single number of the row."""
        v, first = self.inside[node.serial], node.args[0]
        if node.op in SUMS:
            self.sum_over_rows(node)
            return [f"{v} += {self.operand(first, now)};"]
        if node.op == "pick":
            self.indices.add(node.attr)
            text = [f"const real {v} = {self.operand(first, -1, f'{node.attr}[n]')};"]
        elif node.op == "argmax":
            low, high = self.columns(first.shape[-1])
            x, best = (self.operand(first, -1, column) for column in ("c", v))
            text = [f"int64_t {v} = {low};"]
            text += [f"for (int64_t c = {low} + 1; c < {high}; c++) if ({x} > {best}) {v} = c;"]
        else:
            text = [f"const real {v} = {self.expression(node, now)};{self.comment(node)}"]
        return text + self.store(node)

    def store(self, node: Node) -> list[str]:
        if node.serial not in self.stored:
            return []
        return [f"{self.address(Traced(node), written=True)} = {self.inside[node.serial]};"]

    def sum_over_rows(self, node: Node) -> None:
        v, to = self.inside[node.serial], self.parameter(Traced(node), written=True)
        if node.op == "colsum":
            width = node.shape[-1]
            self.before.append(f"real {v}[{width}] = {{0}};")
            self.after.append(f"for (int64_t c = 0; c < {width}; c++) {to}[c] = {v}[c];")
        else:
            self.before.append(f"real {v} = 0;")
            self.after.append(f"{to}[0] = {v};")

    def columns(self, width: Any) -> tuple[str, str]:
        """Return the first column, and the one after the last."""
        if width is not LENGTH:
            return "0", str(width)
        return ("0", "T") if self.unit.band in (ALL, None) else ("from", "to")

    def over_columns(self, nodes: list[Node], now: int) -> list[str]:
        """Run over the columns of the row."""
        first = nodes[0]
        width = (first.args[0] if first.op in (*REDUCTIONS, *SUMS) else first).shape[-1]
        body, start, clauses, end = [], [], "", []
        for node in nodes:
            v = self.inside[node.serial]
            if node.op in REDUCTIONS:
                begin, how, step = REDUCED[node.op]
                start.append(f"real {v} = {begin};")
                clauses += f" reduction({how}:{v})"
                body.append(step.format(v=v, x=self.operand(node.args[0], now)))
                end += self.store(node)
            elif node.op in SUMS:
                self.sum_over_rows(node)
                clauses += f" reduction(+:{v})" if node.op == "total" else ""
                column = "[c]" if node.op == "colsum" else ""
                body.append(f"{v}{column} += {self.operand(node.args[0], now)};")
            else:
                kept = f"{v}_row[c] = " if node.serial in self.rows_kept else ""
                if kept:
                    self.before.append(f"real {v}_row[{'BLOCK' if width is LENGTH else width}];")
                body.append(f"const real {v} = {kept}{self.expression(node, now)};{self.comment(node)}")
                body += self.store(node)
        low, high = self.columns(width)
        if self.flat:
            rows = self.unit.rows
            high = str(rows * width) if isinstance(rows, int) else f"N * {rows[1] * width}"
        loop = [f'_Pragma("omp simd{clauses}")', f"for (int64_t c = {low}; c < {high}; c++) {{"]
        return [*start, *loop, *("  " + line for line in body), "}", *end]

    def row(self) -> str:
        """Return the statements of a row, pass after pass."""
        lines: list[str] = []
        for now in range(max(self.passes.values()) + 1):
            wide: dict[str, list[Node]] = {}
            for node in self.unit.nodes:
                read = node.args[0] if node.op in (*REDUCTIONS, *SUMS) else node
                if same(read.shape[-1:], [1]) or node.op in WHOLE_ROWS:
                    if self.passes[node.serial] == now:
                        lines += self.single(node, now)
                elif self.runs_in(node) == now:
                    wide.setdefault(str(read.shape[-1]), []).append(node)
            for nodes in wide.values():
                lines += self.over_columns(nodes, now)
        return "\n".join(lines)

    def text(self) -> tuple[str, list[str]]:
        """Return the parameters and body of the function, and the arguments of its call."""
        row, rows = self.row(), self.unit.rows
        heads = 1 if isinstance(rows, int) else rows[1]
        if self.flat or rows == 1:
            loops = row
        elif isinstance(rows, int):
            loops = f"for (int64_t n = 0; n < {rows}; n++) {{\n{indented(row, 2)}}}"
        else:
            loops = self.over_tokens(row, heads)
        lines = [f"const int *{name} = batch->{name};" for name in sorted(self.indices)]
        lines += [f"const real {s} = {p}[0];" for p, s in self.scalars.items()]
        lines += [*self.before, *loops.splitlines(), *self.after]
        parameters = [f"{'' if p in self.written else 'const '}real *{p}" for p in self.parameters.values()]
        body = indented("\n".join(lines), 2)
        for v in self.inside.values():  # what is only kept for a later pass has no name in this one
            if len(re.findall(rf"\b{v}\b", body)) == 1:
                body = body.replace(f"const real {v} = {v}_row", f"{v}_row")
        given = [n for n, (_, use) in GIVEN.items() if re.search(use, body)]
        text = f"({', '.join([*(GIVEN[n][0] for n in given), *parameters])}) {{\n{body}}}\n"
        return text, [*given, *self.parameters]

    def over_tokens(self, row: str, heads: int) -> str:
        body = f"for (int64_t h = 0; h < {heads}; h++) {{\n{indented(row, 2)}}}" if heads > 1 else row
        if not self.scores:
            return f"for (int64_t n = 0; n < N; n++) {{\n{indented(body, 2)}}}"
        if self.unit.band not in (ALL, None):
            body = f"const int64_t from = first_column(t, {self.unit.band}), to = end_column(t, T);\n{body}"
        return f"EACH_DOCUMENT for (int64_t t = 0; t < T; t++, n++) {{\n{indented(body, 2)}}}"
