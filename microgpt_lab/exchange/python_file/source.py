"""A text of Python with its syntax tree, to find places in it and to edit them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

Span = tuple[int, int]  # the first byte, and the one after the last
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Chunk:
    """Some statements of a module, up to an empty line. Its tree does not change, so that it is kept."""

    def __init__(self, text: str):
        data = text.encode()
        self.tree, self.size = ast.parse(data), len(data)
        self.starts = list(accumulate(map(len, data.splitlines(keepends=True)), initial=0))
        for node in walk(self.tree):
            node.chunk = self  # type: ignore


@lru_cache(5000)
def chunk_of(text: str) -> Chunk:
    return Chunk(text)


class Source:
    """A text, its tree, and edits of it, which `edited` applies.

    Positions are bytes of UTF-8, as in the tree.
    """

    def __init__(self, text: str):
        self.data = text.encode()
        self.tree, self.offsets = ast.Module(body=[], type_ignores=[]), dict[Chunk, int]()
        start, part = 0, ""
        for more in re.split(r"(?<=\n\n)(?=[^\s)\]}])", text):
            part += more
            try:
                chunk = chunk_of(part)
            except SyntaxError:
                if text.endswith(part):
                    raise
                continue  # it is cut inside of a string
            if chunk in self.offsets:  # the same text twice
                chunk = Chunk(part)
            part = ""
            self.offsets[chunk] = start
            self.tree.body += chunk.tree.body
            start += chunk.size
        self.edits: list[tuple[Span, str]] = []

    @cached_property
    def parents(self) -> dict[int, ast.AST]:
        """The parent of each node, by its id."""
        return {id(c): node for node in walk(self.tree) for c in ast.iter_child_nodes(node)}

    def span(self, node: ast.AST) -> Span:
        place: Any = node
        starts, offset = place.chunk.starts, self.offsets[place.chunk]
        return (
            offset + starts[place.lineno - 1] + place.col_offset,
            offset + starts[place.end_lineno - 1] + place.end_col_offset,
        )

    def between(self, start: int, end: int) -> str:
        return self.data[start:end].decode()

    def text(self, node: ast.AST) -> str:
        return self.between(*self.span(node))

    def replace(self, span: Span, new: str) -> None:
        self.edits.append((span, new))

    def edited(self) -> str:
        """Return the text after the edits. Of edits that overlap, the one that begins first is made."""
        out, position = [], 0
        for (start, end), new in sorted(self.edits, key=lambda edit: (edit[0][0], -edit[0][1])):
            if start >= position:
                out += [self.data[position:start], new.encode()]
                position = end
        return b"".join([*out, self.data[position:]]).decode()

    def lines(self, first: ast.AST, last: ast.AST | None = None, *, comments: bool = True) -> Span:
        """Return the whole lines of statements, with the lines of comments just before them."""
        start: Any = first
        end: Any = last or first
        offset, starts = self.offsets[start.chunk], start.chunk.starts
        line = min([start.lineno, *(each.lineno for each in getattr(first, "decorator_list", ()))]) - 1
        while comments and line:
            above = self.data[offset + starts[line - 1] : offset + starts[line]]
            if not re.fullmatch(rb" {%d}#[^\n]*\n" % start.col_offset, above):
                break
            line -= 1
        return offset + starts[line], offset + starts[end.end_lineno]

    def remove(self, statements: Sequence[ast.stmt], body: Sequence[ast.stmt]) -> None:
        """Remove statements of a body. One that is then empty gets `pass`."""
        for i, statement in enumerate(statements):
            start, end = self.lines(statement)
            empty = i == 0 and len(statements) == len(body)
            self.replace((start, end), f"{' ' * statement.col_offset}pass\n" if empty else "")

    def remove_items(self, removed: Sequence[ast.AST], items: Sequence[ast.AST], inside: Span) -> None:
        """Remove some of the items of a list, with their commas. The list is inside of these parentheses."""
        spans = [self.widened(self.span(item), inside) for item in items]
        gone = [any(item is each for each in removed) for item in items]
        for i, (start, end) in enumerate(spans):
            if gone[i]:
                if all(gone[: i + 1]):
                    end = spans[i + 1][0] if i + 1 < len(spans) else end
                else:
                    start = spans[i - 1][1]
                self.replace((start, end), "")

    def widened(self, span: Span, inside: Span) -> Span:
        """Return the span with the parentheses directly around it, as long as they are inside of another."""
        start, end = span
        while True:
            left, right = start - 1, end
            while left > inside[0] and self.data[left : left + 1].isspace():
                left -= 1
            while right < inside[1] - 1 and self.data[right : right + 1].isspace():
                right += 1
            around = self.data[left : left + 1] + self.data[right : right + 1]
            if around != b"()" or left <= inside[0] or right >= inside[1] - 1:
                return start, end
            start, end = left, right + 1


def walk(node: ast.AST) -> list[ast.AST]:
    """Return a node and all nodes inside of it, as `ast.walk` does, remembered."""
    cached: Any = node
    try:
        return cached.walked
    except AttributeError:
        cached.walked = [node]
        for each in ast.iter_child_nodes(node):
            cached.walked += walk(each)
        return cached.walked


def expressions(node: ast.AST) -> list[ast.AST]:
    """Return the nodes inside of a node, but not those in f-strings: Python 3.11 misplaces them."""
    strings = [each for each in walk(node) if isinstance(each, ast.JoinedStr)]
    inside = {id(each) for string in strings for each in walk(string)[1:]}
    return [each for each in walk(node) if id(each) not in inside] if inside else walk(node)


def bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield each list of statements in a tree."""
    for node in walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body:
                yield body


def functions(tree: ast.Module) -> Iterator[tuple[ast.ClassDef | None, Function]]:
    """Yield the functions and methods of a module, with their class."""
    for node in tree.body:
        if isinstance(node, Function):
            yield None, node
        elif isinstance(node, ast.ClassDef):
            yield from ((node, each) for each in node.body if isinstance(each, Function))


def parameters(function: Function | ast.Lambda) -> list[ast.arg]:
    a = function.args
    return [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs] + (
        [a.kwarg] if a.kwarg else []
    )


def stored(node: ast.AST) -> list[str]:
    """List the names that are assigned in a node, as often as they are, without parameters."""
    return [each.id for each in walk(node) if isinstance(each, ast.Name) and not is_load(each)]


def targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    """List the names that an assignment defines."""
    assigned = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [name for each in assigned for name in stored(each)]


def is_load(node: ast.Name | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Load)


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def decorators(node: ast.ClassDef | Function) -> set[str]:
    """Return the names of a node's decorators."""
    calls = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    return {ast.unparse(each).rpartition(".")[2] for each in calls}


def is_named_tuple(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base) == "NamedTuple" for base in node.bases)


def is_record(node: ast.ClassDef) -> bool:
    """Return whether a class is a dataclass or a NamedTuple, whose fields are its parameters."""
    return "dataclass" in decorators(node) or is_named_tuple(node)
