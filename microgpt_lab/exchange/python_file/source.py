"""A text of Python with its syntax tree, to find places in it and to edit them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

Span = tuple[int, int]  # the first byte, and the one after the last
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source:
    """A text, its tree, and edits of it, which `edited` applies.

    Positions are bytes of UTF-8, as in the tree.
    """

    def __init__(self, text: str):
        self.data, self.tree = text.encode(), ast.parse(text)
        self.starts = list(accumulate(map(len, self.data.splitlines(keepends=True)), initial=0))
        self.edits: list[tuple[Span, str]] = []

    @cached_property
    def parents(self) -> dict[int, ast.AST]:
        """The parent of each node, by its id."""
        return {id(c): node for node in ast.walk(self.tree) for c in ast.iter_child_nodes(node)}

    def span(self, node: ast.AST) -> Span:
        place: Any = node
        return (
            self.starts[place.lineno - 1] + place.col_offset,
            self.starts[place.end_lineno - 1] + place.end_col_offset,
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
        line = min([start.lineno, *(each.lineno for each in getattr(first, "decorator_list", ()))]) - 1
        while comments and line:
            above = self.data[self.starts[line - 1] : self.starts[line]]
            if not re.fullmatch(rb" {%d}#[^\n]*\n" % start.col_offset, above):
                break
            line -= 1
        end: Any = last or first
        return self.starts[line], self.starts[end.end_lineno]

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


def bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield each list of statements in a tree."""
    for node in ast.walk(tree):
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
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not is_load(each)]


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
