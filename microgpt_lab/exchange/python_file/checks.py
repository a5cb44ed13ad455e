"""Leave out the checks of a definition: a run that has trained has passed them."""

from __future__ import annotations

import ast
from collections.abc import Callable

from microgpt_lab.exchange.python_file.fold import replace_by
from microgpt_lab.exchange.python_file.source import Function, Source, bodies, walk

SETUP = {"__init__", "__post_init__", "weights", "tables"}


def without_checks(text: str, is_check_of_range: Callable[[ast.expr], bool], *, everywhere: bool) -> str:
    """Return a definition without statements that only raise an error.

    is_check_of_range: whether a function that is called is one of at_least, above and between.
    everywhere: leave out `if …: raise …` too where an error might be expected: outside of SETUP.
    """
    before = ""
    while text != before:
        before, source = text, Source(text)
        for function in [node for node in walk(source.tree) if isinstance(node, Function)]:
            for body in bodies(function):
                removed = []
                for node in body:
                    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                        if is_check_of_range(node.value.func):
                            removed.append(node)
                    elif everywhere or function.name in SETUP:
                        if is_check(node, function):
                            removed.append(node)
                        elif is_translation(node):
                            assert isinstance(node, ast.Try)
                            replace_by(source, node, node.body)
                source.remove(removed, body)
        text = source.edited()
    return text


def is_check(node: ast.stmt, function: Function) -> bool:
    """Return whether a statement is `if …: raise …`, and nothing needs what its test assigns."""
    if not isinstance(node, ast.If) or not is_only_raise(node.body) or node.orelse:
        return False
    assigned = {n.target.id for n in walk(node.test) if isinstance(n, ast.NamedExpr)}
    inside = set(map(id, walk(node)))
    return not assigned & {n.id for n in walk(function) if isinstance(n, ast.Name) and id(n) not in inside}


def is_translation(node: ast.stmt) -> bool:
    """Return whether a statement only turns errors into others."""
    if not isinstance(node, ast.Try) or node.orelse or node.finalbody:
        return False
    return all(is_only_raise(handler.body) for handler in node.handlers)


def is_only_raise(body: list[ast.stmt]) -> bool:
    """Return whether statements only raise an error, after they have made its message."""
    return isinstance(body[-1], ast.Raise) and all(isinstance(node, ast.Assign) for node in body[:-1])
