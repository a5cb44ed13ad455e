"""Find out what a program uses of a text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from microgpt_lab.exchange.python_file.checks import is_only_raise
from microgpt_lab.exchange.python_file.source import (
    Function,
    is_load,
    is_named_tuple,
    is_record,
    targets,
    walk,
)

OPERATORS = {
    "Add": "add", "Sub": "sub", "Mult": "mul", "Div": "truediv", "Pow": "pow", "MatMult": "matmul",
    "BitOr": "or", "Mod": "mod", "FloorDiv": "floordiv", "USub": "neg", "Gt": "gt", "Lt": "lt",
    "Subscript": "getitem", "For": "iter", "comprehension": "iter", "Starred": "iter",
}  # fmt: skip
ALWAYS = {
    "__init__",
    "__new__",
    "__post_init__",
    "__slots__",
    "__call__",
    "__eq__",
    "__hash__",
    "__getattr__",
}
NEVER = {"__repr__"}
TRACED = ("Value", "Dot", "Views", "Tensor", "Product")  # see trace.py
SETUP = ("__init__", "__post_init__")


class Live:
    """What the top-level statements of a text use, directly or not."""

    def __init__(self, tree: ast.Module, called: set[tuple[str, str]] | None = None):
        self.called = called
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.nodes: set[int] = set()  # definitions, members of classes and assignments that are used
        self.definitions: dict[str, ast.stmt] = {}
        self.used: set[int] = set()  # nodes whose inside is counted
        for node in tree.body:
            for name in defined(node):
                self.definitions[name] = node
        for node in tree.body:
            if not list(defined(node)) and not isinstance(node, ast.Import | ast.ImportFrom):
                self.use(node)
        size = -1
        while size != (size := len(self.names) + len(self.attributes) + len(self.nodes)):
            for name in list(self.names):
                if name in self.definitions:
                    self.use_definition(self.definitions[name])

    def use_definition(self, node: ast.stmt) -> None:
        self.nodes.add(id(node))
        if not isinstance(node, ast.ClassDef):
            self.use(node)
            return
        for each in (*node.bases, *node.decorator_list):
            self.use(each)
        for each in node.body:
            if self.called and node.name in TRACED and not self.was_called(node.name, each):
                continue
            if (is_named_tuple(node) and isinstance(each, ast.AnnAssign)) or self.is_live(
                each, is_record(node)
            ):
                self.nodes.add(id(each))
                if isinstance(each, Function) and each.name in SETUP:
                    self.use_setup(each)
                else:
                    self.use(each)

    def was_called(self, owner: str, member: ast.stmt) -> bool:
        names = set(defined(member))
        return (
            not names or bool(names & ALWAYS) or any((owner, name) in (self.called or ()) for name in names)
        )

    def is_live(self, member: ast.stmt, record: bool) -> bool:
        """Return whether a member of a class is used."""
        names = set(defined(member))
        if not names:
            return True
        if isinstance(member, ast.AnnAssign) and not record and not member.value:
            return False  # only a type
        if isinstance(member, Function) and member.name.startswith("__") and is_only_raise(member.body):
            return False
        return bool(names & (self.attributes | ALWAYS | {"_"}) - NEVER)

    def use_setup(self, function: Function) -> None:
        """Use a constructor. Of its assignments to attributes, only those count that are read somewhere."""
        for node in [*function.decorator_list, function.args, *function.body]:
            if not isinstance(node, ast.stmt) or not (pairs := list(assignments(node))):
                self.use(node)
                continue
            for target, value in pairs:
                if target.attr in self.attributes:
                    self.use(value)

    def use(self, node: ast.AST) -> None:
        """Count all that a node uses."""
        if id(node) not in self.used:
            self.used.add(id(node))
            names, attributes = used_in(node)
            self.names |= names
            self.attributes |= attributes


def used_in(node: ast.AST) -> tuple[set[str], set[str]]:
    """Return the names and the attributes that a node uses, remembered."""
    cached: Any = node
    if not hasattr(node, "uses"):
        cached.uses = set[str](), set[str]()
        for each in walk(node):
            add_uses(each, *cached.uses)
    return cached.uses


def add_uses(node: ast.AST, names: set[str], attributes: set[str]) -> None:
    if isinstance(node, ast.Name):
        names.add(node.id)
    elif isinstance(node, ast.Attribute):
        if is_load(node):
            attributes.add(node.attr)
        if isinstance(node.value, ast.Name) and node.value.id == "operator":
            attributes |= {f"__{node.attr}__", f"__r{node.attr}__"}
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
        attributes.add(node.target.attr)
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
        attributes |= {str(a.value) for a in node.args if isinstance(a, ast.Constant)}
    elif isinstance(node, ast.Tuple | ast.List):  # names that a loop gives to getattr
        attributes |= {str(a.value) for a in node.elts if isinstance(a, ast.Constant)}
    kind = type(node.op if isinstance(node, ast.BinOp | ast.UnaryOp | ast.AugAssign) else node).__name__
    kinds = [type(op).__name__ for op in node.ops] if isinstance(node, ast.Compare) else [kind]
    for name in filter(None, map(OPERATORS.get, kinds)):
        attributes |= {f"__{name}__", f"__r{name}__"}


def defined(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement defines in a module or class."""
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        yield from targets(node)


def assignments(node: ast.stmt) -> Iterator[tuple[ast.Attribute, ast.expr]]:
    """Yield what a statement assigns to attributes of self, if it does nothing else."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts))
        if all(
            isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) and t.value.id == "self"
            for t, _ in pairs
        ):
            yield from pairs  # type: ignore
