"""Leave out parameters that are the same in every call, and calls that return what they are given."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Set
from typing import Any, NamedTuple

from microgpt_lab.exchange.python_file.fold import substitute
from microgpt_lab.exchange.python_file.known import OWNERS, UNKNOWN, Scope
from microgpt_lab.exchange.python_file.source import (
    Function,
    Source,
    decorators,
    expressions,
    functions,
    is_docstring,
    is_load,
    is_record,
    parameters,
    stored,
    walk,
)

ERASED = (None, False, True, (), {}, [])  # constants that need not be seen


class Callee(NamedTuple):
    """A function, method or class, its parameters by name with their defaults, and where they are used."""

    name: str
    node: Function | ast.ClassDef
    parameters: dict[str, ast.expr | None]
    is_method: bool


class Calls:
    """The calls of functions, classes and methods in a text, as far as their names tell what is called."""

    def __init__(self, source: Source):
        self.source = source
        self.calls: dict[tuple[bool, str], list[ast.Call]] = defaultdict(list)
        self.others: set[tuple[bool, str]] = set()  # names that are used without a call
        called = set()
        for node in expressions(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called.add(id(node.func))
                self.calls[key_of(node.func)].append(node)
        for node in walk(source.tree):
            if isinstance(node, ast.Name | ast.Attribute) and is_load(node) and id(node) not in called:
                self.others.add(key_of(node))
        self.properties = {f.name for _, f in functions(source.tree) if "property" in str(decorators(f))}

    def callees(self) -> list[Callee]:
        """List what each call of a name is known to call."""
        by_key: dict[tuple[bool, str], list[Callee]] = defaultdict(list)
        for owner, function in functions(self.source.tree):
            if not decorators(function):
                names = defaults_of(function)
                if owner:
                    names.pop(next(iter(names), ""), None)  # self
                by_key[bool(owner), function.name].append(Callee(function.name, function, names, bool(owner)))
        for node in self.source.tree.body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "NamedTuple" for b in node.bases):
                fields = [f for f in node.body if isinstance(f, ast.AnnAssign)]
                names = {f.target.id: f.value for f in fields if isinstance(f.target, ast.Name)}
                by_key[False, node.name].append(Callee(node.name, node, names, False))
        known = []
        for key, found in by_key.items():
            [callee, *others] = found
            is_value = (
                key in self.others and key[1] not in self.properties and isinstance(callee.node, Function)
            )
            is_known = not others and not is_value and not key[1].startswith("__") and self.calls[key]
            if is_known and not any(map(has_star, self.calls[key])):
                known.append(callee)
        return known


def key_of(node: ast.Name | ast.Attribute) -> tuple[bool, str]:
    return (True, node.attr) if isinstance(node, ast.Attribute) else (False, node.id)


def has_star(call: ast.Call) -> bool:
    return any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)


def defaults_of(function: Function) -> dict[str, ast.expr | None]:
    """Return the parameters of a function by name, with the expressions of their defaults."""
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    values = [None] * (len(positional) - len(a.defaults)) + list(a.defaults)
    pairs = [*zip(positional, values), *zip(a.kwonlyargs, a.kw_defaults)]
    return {each.arg: value for each, value in pairs}


def propagated(text: str, attributes: dict[str, dict[str, Any]]) -> str:
    """Return the text without a parameter that is constant. That of a NamedTuple joins `attributes`."""
    source = Source(text)
    calls = Calls(source)
    scopes: dict[int, Scope] = {}
    for owner, function in functions(source.tree):
        scope = Scope(attributes, owner.name if owner else "", function)
        scopes |= {id(node): scope for node in walk(function) if isinstance(node, ast.Call)}
    nowhere = Scope(attributes, "")
    for callee in calls.callees():
        made = calls.calls[callee.is_method, callee.name]
        for index, (name, default) in enumerate(callee.parameters.items()):
            given = [argument(call, index, name) for call in made]
            values = []
            for call, each in zip(made, given):
                expression = each or default
                scope = scopes.get(id(call), nowhere)
                values.append(scope.value(expression) if expression else UNKNOWN)
            first = values[0]
            if first is UNKNOWN or not any(
                first is e or (first == e and not isinstance(first, int)) for e in ERASED
            ):
                continue
            if any(value is UNKNOWN or value != first for value in values):
                continue
            if erased(source, callee, name, first, attributes):
                for call, each in zip(made, given):
                    if each is not None:
                        drop_arguments(source, call, [each])
                return source.edited()  # one at a time, because edits may overlap
    return source.edited()


def argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    """Return the expression that a call gives for a parameter, if any."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[index] if index < len(call.args) else None


def drop_arguments(source: Source, call: ast.Call, dropped: list[ast.expr]) -> None:
    items: list[ast.AST] = [*call.args, *call.keywords]
    gone = [i for i in items if any(d is i or d is getattr(i, "value", None) for d in dropped)]
    inside = source.span(call.func)[1], source.span(call)[1]
    opening = source.data.index(b"(", inside[0])
    source.remove_items(gone, items, (opening, inside[1]))


def erased(source: Source, callee: Callee, name: str, value: Any, attributes: dict[str, Any]) -> bool:
    """Remove a parameter and put its value where it is used. Return False if that is not safe."""
    if isinstance(callee.node, Function):
        if name in stored(callee.node):
            return False
        substitute_name(source, callee.node, name, value)
        remove_parameters(source, callee.node, {name})
        return True
    fields = {
        f.target.id: f
        for f in callee.node.body
        if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)
    }
    holders = {key for key, class_ in OWNERS.items() if class_ == callee.name}
    used = [n for n in walk(source.tree) if isinstance(n, ast.Attribute) and n.attr == name]
    inside = {id(n) for n in walk(callee.node)}
    ours = [n for n in used if isinstance(n.value, ast.Name)]
    ours = [n for n in ours if n.value.id in holders or (n.value.id == "self" and id(n) in inside)]  # type: ignore
    if ours and value == {}:
        return False
    if any(k.arg == name for c in walk(source.tree) if isinstance(c, ast.Call) for k in c.keywords):
        return False
    attributes.setdefault(callee.name, {})[name] = value
    for node in ours:
        source.replace(source.span(node), repr(value))
    source.remove([fields[name]], callee.node.body)
    return True


def substitute_name(source: Source, function: Function, name: str, value: Any) -> None:
    for node in walk(function):
        if isinstance(node, ast.Name) and node.id == name:
            source.replace(source.span(node), repr(value))


def remove_parameters(source: Source, function: Function, names: set[str]) -> None:
    """Write the head of a function without these parameters, in one line."""
    kept = function.args
    values = defaults_of(function)
    parts = []
    for each in parameters(function):
        if each is kept.vararg or each is kept.kwarg:
            parts.append(("*" if each is kept.vararg else "**") + source.text(each))
        elif each.arg not in names:
            if each in kept.kwonlyargs and not kept.vararg and "*" not in parts:
                parts.append("*")
            value = values.get(each.arg)
            equals = " = " if each.annotation else "="
            parts.append(source.text(each) + (f"{equals}{source.text(value)}" if value else ""))
    returns = f" -> {source.text(function.returns)}" if function.returns else ""
    start, body = source.span(function)[0], function.body[0]
    first = source.lines(body)[0]
    header = f"def {function.name}({', '.join(parts)}){returns}:\n"
    source.replace((start, first), header)


def without_identities(text: str, also: Set[str] = frozenset()) -> str:
    """Replace calls of methods that return their first argument, and of these functions, by that argument."""
    source = Source(text)
    by_name: dict[str, list[bool]] = defaultdict(list)
    for owner, function in functions(source.tree):
        if owner:
            by_name[function.name].append(is_identity(function))
    names = {name for name, found in by_name.items() if all(found) and not name.startswith("__")}
    names -= callable_fields(source.tree)  # the part `self.init` of GPT is not an optimizer's `init`
    for node in expressions(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) and node.args:
            is_method, name = key_of(node.func)
            if name in (names if is_method else also):
                substitute(source, node, node.args[0])
    return source.edited()


def callable_fields(tree: ast.Module) -> set[str]:
    """Return the names of the fields of classes that hold a function."""
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    annotated = (each for body in bodies for each in body if isinstance(each, ast.AnnAssign))
    return {ast.unparse(each.target) for each in annotated if "Callable" in ast.unparse(each.annotation)}


def without_wrappers(text: str, names: set[str]) -> str:
    """Replace calls of functions that only call a method of their argument: ops_sum(x) by x.sum().

    names: those functions that may go.
    """
    source = Source(text)
    methods = {}
    for node in source.tree.body:
        if isinstance(node, Function) and node.name in names and len(node.args.args) == 1:
            value = getattr(node.body[-1], "value", None)
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
                methods[node.name] = source.text(value).partition(".")[2]
    for node in expressions(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in methods:
            [x] = node.args
            is_atom = isinstance(x, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
            inside = source.text(x) if is_atom else f"({source.text(x)})"
            source.replace(source.span(node), f"{inside}.{methods[node.func.id]}")
    return source.edited()


def is_identity(function: Function) -> bool:
    """Return whether a method is `return x`, or calls another method of the same name with x."""
    body = [node for node in function.body if not is_docstring(node)]
    if len(body) != 1 or not isinstance(body[0], ast.Return) or len(function.args.args) < 2:
        return False
    value = body[0].value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.args:
        value = value.args[0] if value.func.attr == function.name else None
    return isinstance(value, ast.Name) and value.id == function.args.args[1].arg


def without_unknown_keywords(text: str) -> str:
    """Drop arguments of classes for parameters that are not there any more."""
    source = Source(text)
    classes = {node.name: node for node in source.tree.body if isinstance(node, ast.ClassDef)}
    for node in expressions(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
            known = names_of(classes[node.func.id], classes)
            if gone := [k.value for k in node.keywords if k.arg not in known]:
                drop_arguments(source, node, gone)
    return source.edited()


def names_of(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Return the names that a class may be called with."""
    bases = [classes[ast.unparse(base)] for base in node.bases if ast.unparse(base) in classes]
    inherited = set().union(*(names_of(base, classes) for base in bases))
    if is_record(node):
        fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
        return inherited | {each.id for each in fields if isinstance(each, ast.Name)}
    for each in node.body:
        if isinstance(each, Function) and each.name == "__init__":
            return {p.arg for p in parameters(each)}
    return inherited
