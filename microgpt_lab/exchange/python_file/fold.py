"""Leave out of a text what a run never does, because of the values of its options."""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from microgpt_lab.exchange.python_file.source import (
    Function,
    Source,
    bodies,
    functions,
    is_docstring,
    parameters,
    stored,
    walk,
)

UNKNOWN: Any = object()
COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EMPTY = {ast.Tuple: (), ast.List: [], ast.Dict: {}}
OWNERS = {"gpt": "GPT", "at": "At"}  # names of arguments that are always of one class
CHECKS = {"at_least", "above", "between"}

# By class of the file: the values of attributes that never change, as far as conditions may depend on them.
Attributes = dict[str, dict[str, Any]]


class Scope:
    """What is known inside of a function: attributes of objects of one kind, and local constants."""

    def __init__(
        self,
        attributes: Attributes,
        owner: str,
        function: Function | None = None,
        constants: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.attributes, self.owner, self.function, self.constants = attributes, owner, function, constants

    @cached_property
    def names(self) -> dict[str, Any]:
        """The local variables that are assigned once, to a value that is known."""
        if not self.function:
            return {}
        self.names = found = dict[str, Any]()  # while they are being found
        assigned = Counter(stored(self.function)) + Counter(p.arg for p in parameters(self.function))
        for node in walk(self.function):
            for target, value in assigned_in(node):
                if isinstance(target, ast.Name) and assigned[target.id] == 1:
                    if (known := self.value(value)) is not UNKNOWN:
                        found[target.id] = known
        return found

    def value(self, node: ast.AST) -> Any:
        """Return the value of an expression, or UNKNOWN."""
        if isinstance(node, ast.Constant):
            return node.value
        if type(node) in EMPTY and not getattr(node, "elts", getattr(node, "keys", ())):
            return EMPTY[type(node)]
        if isinstance(node, ast.Name):
            return self.names.get(node.id, UNKNOWN)
        if isinstance(node, ast.Attribute):
            return self.attributes.get(self.class_of(node.value), {}).get(node.attr, UNKNOWN)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            truth = self.truth(node.operand)
            return UNKNOWN if truth is None else not truth
        if isinstance(node, ast.BoolOp):
            return self.of_and_or(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            a, b = self.value(node.left), self.value(node.comparators[0])
            return UNKNOWN if UNKNOWN in (a, b) else COMPARISONS[type(node.ops[0])](a, b)
        if isinstance(node, ast.Call) and not node.keywords:
            return self.of_call(node)
        return UNKNOWN

    def of_and_or(self, node: ast.BoolOp) -> Any:
        decides = isinstance(node.op, ast.Or)
        value: Any = UNKNOWN
        for each in node.values:
            value = self.value(each)
            if value is UNKNOWN or bool(value) == decides:
                return value
        return value

    def of_call(self, node: ast.Call) -> Any:
        args = [self.value(each) for each in node.args]
        if isinstance(node.func, ast.Attribute) and node.func.attr in self.constants:
            return self.constants[node.func.attr]
        if isinstance(node.func, ast.Name) and node.func.id == "hasattr" and UNKNOWN not in args:
            return hasattr(*args) and not (args[1] == "init" and not args[0].init(1))  # no weights at all
        if (
            isinstance(node.func, ast.Name)
            and node.func.id in ("bool", "len")
            and args
            and UNKNOWN not in args
        ):
            return {"bool": bool, "len": len}[node.func.id](*args)
        if isinstance(node.func, ast.Attribute) and self.value(node.func.value) == {}:
            if node.func.attr in ("items", "values", "keys"):
                return {}
            return args[1] if node.func.attr == "get" and len(args) == 2 else UNKNOWN
        return UNKNOWN

    def class_of(self, node: ast.AST) -> str:
        """Return the class of the object that an expression is, if its name tells."""
        if isinstance(node, ast.Name):
            return self.owner if node.id == "self" else OWNERS.get(node.id, "")
        return "GPT" if isinstance(node, ast.Attribute) and node.attr == "gpt" else ""

    def truth(self, node: ast.AST) -> bool | None:
        """Return whether an expression counts as true; None if that is not known."""
        if (value := self.value(node)) is not UNKNOWN:
            return bool(value)
        if isinstance(node, ast.BoolOp):
            decides = isinstance(node.op, ast.Or)
            if decides in (self.truth(each) for each in node.values):
                return decides
        return None


def assigned_in(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """Return the targets of an assignment, each with its value."""
    if not isinstance(node, ast.Assign) or len(node.targets) > 1:
        return []
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        is_starred = any(isinstance(each, ast.Starred) for each in (*target.elts, *value.elts))
        return [] if is_starred else list(zip(target.elts, value.elts))
    return [(target, value)]


def folded(text: str, attributes: Attributes) -> str:
    """Return the text without branches that are never taken, checks of options, and code after a return."""
    source = Source(text)
    constants = constant_methods(source, attributes)
    for owner, function in functions(source.tree):
        scope = Scope(attributes, owner.name if owner else "", function, constants)
        for body in bodies(function):
            fold_body(source, body, scope, function)
        for node in expressions(function):
            fold_expression(source, node, scope)
    return source.edited()


def constant_methods(source: Source, attributes: Attributes) -> dict[str, Any]:
    """Return the constants that methods return and do nothing else, by name."""
    found: dict[str, list[Any]] = {}
    for owner, function in functions(source.tree):
        if owner:
            *others, last = [node for node in function.body if not is_docstring(node)] or function.body
            scope = Scope(attributes, owner.name, function)
            is_return = isinstance(last, ast.Return) and last.value and not others
            found.setdefault(function.name, []).append(scope.value(last.value) if is_return else UNKNOWN)
    return {name: values[0] for name, values in found.items() if len(values) == 1 and UNKNOWN not in values}


def expressions(node: ast.AST) -> list[ast.AST]:
    """Return the nodes inside of a node, except those of f-strings, whose places are wrong before Python 3.12."""
    strings = [each for each in walk(node) if isinstance(each, ast.JoinedStr)]
    inside = {id(each) for string in strings for each in walk(string)[1:]}
    return [each for each in walk(node) if id(each) not in inside] if inside else walk(node)


def fold_body(source: Source, body: list[ast.stmt], scope: Scope, function: ast.AST) -> None:
    removed: list[ast.stmt] = []
    for i, node in enumerate(body):
        if isinstance(node, ast.Return | ast.Raise | ast.Continue) and body[i + 1 :]:
            removed += body[i + 1 :]
            break
        if is_check(node, function) or is_same(node):
            removed.append(node)
        elif is_returned(node, body[i + 1 :]):
            assert isinstance(node, ast.Assign)
            source.replace((source.span(node)[0], source.span(node.value)[0]), "return ")
            removed += body[i + 1 :]
            break
        elif isinstance(node, ast.For) and scope.value(node.iter) in ((), [], {}):
            removed.append(node)
        elif isinstance(node, ast.If):
            truth = scope.truth(node.test)
            chosen = node.body if truth else node.orelse
            if truth is not None and chosen:
                replace_by(source, node, chosen)
            elif truth is not None:
                removed.append(node)
        elif isinstance(node, ast.Try) and all(is_only_raise(handler.body) for handler in node.handlers):
            if not node.orelse and not node.finalbody:
                replace_by(source, node, node.body)
    source.remove(removed, body)


def is_check(node: ast.stmt, function: ast.AST) -> bool:
    """Return whether a statement only raises an error if an option or a call is wrong."""
    if isinstance(node, ast.If) and is_only_raise(node.body) and not node.orelse:
        given = {n.target.id for n in walk(node.test) if isinstance(n, ast.NamedExpr)}
        inside = {id(n) for n in walk(node)}
        later = {n.id for n in walk(function) if isinstance(n, ast.Name) and id(n) not in inside}
        return not given & later
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id in CHECKS
    return False


def is_returned(node: ast.stmt, rest: list[ast.stmt]) -> bool:
    """Return whether a statement is `x = …`, and the next and last one `return x`."""
    if not isinstance(node, ast.Assign) or len(rest) != 1 or not isinstance(rest[0], ast.Return):
        return False
    target, value = node.targets[0], rest[0].value
    return isinstance(target, ast.Name) and isinstance(value, ast.Name) and target.id == value.id


def is_only_raise(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Raise) and len(body) == 1


def is_same(node: ast.stmt) -> bool:
    """Return whether a statement is `x = x`."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(node.value)


def replace_by(source: Source, node: ast.If | ast.Try, body: list[ast.stmt]) -> None:
    """Replace a statement by one of its bodies, which is indented less."""
    start, end = source.lines(body[0], body[-1])
    whole = source.lines(node, comments=False)
    text = source.between(start, end)
    if isinstance(node, ast.If) and body is node.orelse and text.lstrip().startswith("elif"):
        source.replace(whole, text.replace("elif", "if", 1))
        return
    lines = [line.removeprefix("    ") for line in text.splitlines(keepends=True)]
    new = "".join(lines)
    if source.between(*source.span(node)).startswith("elif"):  # its test always holds
        source.replace(whole, f"{' ' * node.col_offset}else:\n{text}")
    else:
        source.replace(whole, new)


def fold_expression(source: Source, node: ast.AST, scope: Scope) -> None:
    """Replace a choice whose outcome is known, and `see(name, x)` by x."""
    if isinstance(node, ast.IfExp) and (truth := scope.truth(node.test)) is not None:
        substitute(source, node, node.body if truth else node.orelse)
    elif isinstance(node, ast.BoolOp):
        decides, values = isinstance(node.op, ast.Or), list(node.values)
        while len(values) > 1 and (value := scope.value(values[0])) is not UNKNOWN:
            values = values[:1] if bool(value) == decides else values[1:]
        if values != node.values:
            start, end = source.span(values[0])[0], source.span(values[-1])[1]
            source.replace(source.span(node), source.between(start, end))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if scope.value(one) == {} and scope.value(one) is not UNKNOWN:
                substitute(source, node, other)
                break
    elif isinstance(node, ast.DictComp | ast.ListComp):
        for generator in node.generators:
            for test in generator.ifs:
                truth = scope.truth(test)
                if truth is False:
                    source.replace(source.span(node), "{}" if isinstance(node, ast.DictComp) else "[]")
                elif truth:
                    before = source.data.rindex(b" if ", 0, source.span(test)[0])
                    source.replace((before, source.span(test)[1]), "")
    elif isinstance(node, ast.Call) and len(node.args) == 2 and is_see(node.func):
        substitute(source, node, node.args[1])


def is_see(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "see"


TIGHT = (
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Attribute,
    ast.Subscript,
    ast.IfExp,
    ast.Starred,
)


def substitute(source: Source, node: ast.expr, by: ast.expr) -> None:
    """Replace an expression by one inside of it, with parentheses only if it needs them there."""
    text, (start, end) = source.text(by), source.span(node)
    parent = source.parents[id(node)]
    loose = isinstance(by, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp | ast.Lambda)
    before, after = source.data[:start].rstrip(), source.data[end:].lstrip()
    is_inside = (
        before[-1:] == b"("
        and after[:1] == b")"
        and not (isinstance(parent, ast.Call) and parent.func is not node)
    )
    if is_inside and not (loose and isinstance(parent, TIGHT)):
        start, end = len(before) - 1, len(source.data) - len(after) + 1
    elif not is_inside and loose and isinstance(parent, TIGHT):
        text = f"({text})"
    source.replace((start, end), text)
