"""The modules that definitions come from, and what their global names mean."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from microgpt_lab.exchange.python_file.source import Function, Source, is_load, parameters, targets, walk


class Symbol(NamedTuple):
    """A global name of a module. `name` is empty for the module itself."""

    module: str
    name: str = ""

    @property
    def is_library(self) -> bool:
        """Whether it is of the standard library, or of a package that the exported file would need."""
        return not is_ours(self.module)


class Module:
    """A module of the lab, or of a part's package: its definitions and its imports."""

    def __init__(self, name: str):
        loaded = sys.modules[name]
        self.name, self.source = name, Source(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
        package = name if hasattr(loaded, "__path__") else name.rpartition(".")[0]
        self.definitions: dict[str, ast.stmt] = {}
        self.imports: dict[str, Symbol] = {}
        self.found: dict[int, tuple[ast.AST, list[tuple[ast.expr, Symbol]]]] = {}
        for node in self.source.tree.body:
            if isinstance(node, ast.Import):
                for each in node.names:
                    target = each.name if each.asname else each.name.partition(".")[0]
                    self.imports[each.asname or target] = Symbol(target)
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), package)
                for each in node.names:
                    self.imports[each.asname or each.name] = imported(origin, each.name)
            elif isinstance(node, Function | ast.ClassDef):
                self.definitions[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self.definitions |= dict.fromkeys(targets(node), node)

    def meaning(self, name: str) -> Symbol | None:
        """Return what a global name is; None for a builtin."""
        if name in self.definitions:
            return Symbol(self.name, name)
        if (symbol := self.imports.get(name)) is None or symbol.is_library or not symbol.name:
            return symbol
        return module(symbol.module).meaning(symbol.name)

    def globals_in(self, node: ast.AST) -> list[tuple[ast.expr, Symbol]]:
        """Return the global names in a node, and attributes of modules such as ops.exp, with meanings."""
        key = id(node)  # of a tree that is kept
        if key not in self.found:
            self.found[key] = node, list(self.find_globals(node))
        return self.found[key][1]

    def find_globals(self, node: ast.AST) -> Iterator[tuple[ast.expr, Symbol]]:
        for each, local in names_in(node, frozenset()):
            name: ast.AST = each
            attributes: list[ast.Attribute] = []
            while isinstance(name, ast.Attribute):
                attributes.append(name)
                name = name.value
            if not isinstance(name, ast.Name) or name.id in local or not (symbol := self.meaning(name.id)):
                continue
            place: ast.expr = name
            while attributes and not symbol.name and not symbol.is_library:
                place = attribute = attributes.pop()
                symbol = attribute_of(symbol.module, attribute.attr)
            yield place, symbol


def imported(origin: str, name: str) -> Symbol:
    """Return what `from origin import name` imports: a submodule, or a name of the module."""
    return Symbol(f"{origin}.{name}") if f"{origin}.{name}" in sys.modules else Symbol(origin, name)


def attribute_of(origin: str, name: str) -> Symbol:
    found = imported(origin, name)
    return found if not found.name else module(origin).meaning(name) or found


@cache
def module(name: str) -> Module:
    return Module(name)


OURS = {"microgpt_lab"}  # top-level packages whose source is copied


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def names_in(node: ast.AST, local: frozenset[str]) -> Iterator[tuple[ast.expr, frozenset[str]]]:
    """Yield the names that a node loads, with its chain of attributes, and the names that are local there."""
    if isinstance(node, ast.Attribute | ast.Name) and is_chain(node):
        if not isinstance(node, ast.Name) or is_load(node):
            yield node, local
        return
    inner = local
    if isinstance(node, Function | ast.Lambda):
        outside = [
            *getattr(node, "decorator_list", ()),
            *node.args.defaults,
            *filter(None, node.args.kw_defaults),
        ]
        outside += [a.annotation for a in parameters(node) if a.annotation]
        outside += filter(None, [getattr(node, "returns", None)])
        for each in outside:
            yield from names_in(each, local)
        body = node.body if isinstance(node.body, list) else [node.body]
        inner = local | {p.arg for p in parameters(node)} | set(bound(body))
        for each in body:
            yield from names_in(each, inner)
        return
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        inner = local | {n.id for g in node.generators for n in walk(g.target) if isinstance(n, ast.Name)}
    for each in ast.iter_child_nodes(node):
        yield from names_in(each, inner)


def is_chain(node: ast.expr) -> bool:
    """Return whether an expression is a name with attributes, a.b.c."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def bound(statements: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the names that a function assigns, imports or defines, without those of functions in it."""
    for node in statements:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (each.asname or each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ExceptHandler | Function | ast.ClassDef):
            yield str(node.name)
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda | ast.ListComp | ast.GeneratorExp):
            yield from bound(ast.iter_child_nodes(node))


BUILTINS = frozenset(vars(builtins))
