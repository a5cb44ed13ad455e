"""Evaluate the expressions of a source text that are constant for the options of a run."""

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
                known = self.value(value)
                if isinstance(target, ast.Name) and assigned[target.id] == 1 and known is not UNKNOWN:
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
        if isinstance(node, ast.Compare) and [type(op) for op in node.ops] == [ast.NotIn]:
            return True if self.value(node.comparators[0]) == () else UNKNOWN
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


def constant_methods(source: Source, attributes: Attributes) -> dict[str, Any]:
    """Return the constants that methods return and do nothing else, by name."""
    found: dict[str, list[Any]] = {}
    for owner, function in functions(source.tree):
        if owner:
            *others, last = [node for node in function.body if not is_docstring(node)] or function.body
            scope = Scope(attributes, owner.name, function)
            value: Any = UNKNOWN
            if isinstance(last, ast.Return) and last.value and all(map(assigned_in, others)):
                value = scope.value(last.value)
            found.setdefault(function.name, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1 and UNKNOWN not in values}
