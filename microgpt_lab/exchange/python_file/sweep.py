"""Leave out of a text what the program at its end never uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from microgpt_lab.exchange.python_file.calls import remove_parameters
from microgpt_lab.exchange.python_file.fold import is_only_raise
from microgpt_lab.exchange.python_file.source import (
    Function,
    Source,
    bodies,
    functions,
    is_load,
    is_named_tuple,
    is_record,
    parameters,
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
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    yield from (each.id for each in targets if isinstance(each, ast.Name))


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


def swept(text: str, called: set[tuple[str, str]] | None = None) -> str:
    """Return the text without definitions, members of classes, assignments and options that nobody uses.

    called: the methods of TRACED classes that a run calls (None: any may be).
    """
    source = Source(text)
    live = Live(source.tree, called)
    body = source.tree.body
    dead = [node for node in body if list(defined(node)) and id(node) not in live.nodes]
    source.remove(dead, [*body, ast.Pass()])
    for node in body:
        if isinstance(node, ast.ClassDef) and node not in dead:
            members = [each for each in node.body if list(defined(each)) and id(each) not in live.nodes]
            source.remove(members, node.body)
            for each in node.body if called and node.name in TRACED else ():
                if isinstance(each, ast.Assign) and len(each.targets) > 1:
                    unused = [t for t in each.targets if (node.name, ast.unparse(t)) not in called]
                    for target in unused if len(unused) < len(each.targets) else ():
                        start, end = source.span(target)
                        source.replace((start, source.data.index(b"= ", end) + 2), "")
            members = [each for each in node.body if is_inherited(each)]
            source.remove(members, node.body)
    text = source.edited()
    return without_entries(without_locals(without_options(without_attributes(text))))


def without_entries(text: str) -> str:
    """Drop the functions of numbers that no tensor is given by name: FUNCTIONS["tanh"]."""
    source = Source(text)
    applied = [n.args[0] for n in walk(source.tree) if isinstance(n, ast.Call) and is_apply(n)]
    names = {each.value for each in applied if isinstance(each, ast.Constant)}
    for node in source.tree.body:
        if list(defined(node)) == ["FUNCTIONS"] and isinstance(
            table := getattr(node, "value", None), ast.Dict
        ):
            dead = [k for k in table.keys if isinstance(k, ast.Constant) and k.value not in names]
            for key in dead if len(names) == len(applied) else ():
                start, end = source.lines(key)
                source.replace((start, end), "")
    return source.edited()


def is_apply(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "apply" and len(node.args) == 1


def is_inherited(member: ast.stmt) -> bool:
    """Return whether a method only calls the same method of the base class."""
    if not isinstance(member, Function) or not isinstance(body := member.body[-1], ast.Return):
        return False
    names = [p.arg for p in parameters(member)[1:]]
    return body.value is not None and ast.unparse(body.value) == f"super().{member.name}({', '.join(names)})"


def without_attributes(text: str) -> str:
    """Drop assignments of constructors to attributes that are never read."""
    source = Source(text)
    live = Live(source.tree)
    for _, function in functions(source.tree):
        if function.name in SETUP:
            for node in function.body:
                pairs = list(assignments(node))
                dead = [(t, v) for t, v in pairs if t.attr not in live.attributes]
                remove_pairs(source, node, pairs, dead, function.body)
    return source.edited()


def remove_pairs(source: Source, node: ast.stmt, pairs: list, dead: list, body: list[ast.stmt]) -> None:
    """Remove some of the targets of an assignment, with their values."""
    if dead and len(dead) == len(pairs):
        source.remove([node], body)
    elif dead and isinstance(node, ast.Assign):
        kept = [pair for pair in pairs if pair not in dead]
        targets, values = (", ".join(map(source.text, each)) for each in zip(*kept))
        source.replace(source.span(node), f"{targets} = {values}")


def without_options(text: str) -> str:
    """Drop parameters of constructors that are never read."""
    source = Source(text)
    for _, function in functions(source.tree):
        if function.name == "__init__":
            used = {n.id for n in walk(function) if isinstance(n, ast.Name)}
            if dead := {p.arg for p in parameters(function)[1:] if p.arg not in used}:
                remove_parameters(source, function, dead)
    source = Source(source.edited())
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):
            empty = [
                f
                for f in node.body
                if isinstance(f, Function) and f.name in SETUP and isinstance(f.body[-1], ast.Pass)
            ]
            source.remove(empty, node.body)
    return source.edited()


def without_locals(text: str) -> str:
    """Drop local variables that are never read, since what read them has gone."""
    source = Source(text)
    for _, function in functions(source.tree):
        loaded = {n.id for n in walk(function) if isinstance(n, ast.Name) and is_load(n)}
        declared = {n for s in walk(function) if isinstance(s, ast.Nonlocal | ast.Global) for n in s.names}
        for body in bodies(function):
            for node in body:
                if isinstance(node, ast.Assign) and len(node.targets) == 1:
                    pairs = [(node.targets[0], node.value)]
                    if isinstance(pairs[0][0], ast.Tuple) and isinstance(pairs[0][1], ast.Tuple):
                        pairs = list(zip(pairs[0][0].elts, pairs[0][1].elts))
                    names = [[n for n in walk(t) if isinstance(n, ast.Name)] for t, _ in pairs]
                    dead = [
                        pair
                        for pair, inside in zip(pairs, names)
                        if isinstance(pair[0], ast.Name | ast.Tuple)
                        and all(n.id not in loaded | declared for n in inside)
                        and "rng" not in source.text(pair[1])
                    ]
                    if not any(isinstance(e, ast.Starred) for _, v in pairs for e in walk(v)):
                        remove_pairs(source, node, pairs, dead, body)
    return source.edited()
