"""Mutants of a file: each has one small change of meaning that a test should detect.

Operators, comparisons and functions become similar ones. Conditions are always true or always false. Numbers,
strings and booleans change. Arguments are swapped or left out. Slices lose a bound. Results become None.
Statements are removed. Annotations, decorators, docstrings, and messages of errors and of the log do not
change.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Div,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
FUNCTIONS = {
    "all": "any",
    "any": "all",
    "ceil": "floor",
    "cos": "sin",
    "endswith": "startswith",
    "find": "rfind",
    "floor": "ceil",
    "lstrip": "rstrip",
    "max": "min",
    "mean": "median",
    "min": "max",
    "partition": "rpartition",
    "removeprefix": "removesuffix",
    "removesuffix": "removeprefix",
    "rfind": "find",
    "round": "int",
    "rpartition": "partition",
    "sin": "cos",
    "sorted": "list",
    "startswith": "endswith",
    "strip": "rstrip",
}
UNTOUCHED = (ast.Import, ast.ImportFrom, ast.Raise, ast.Global, ast.Nonlocal)
LOGS = ("log", "warnings")


class Mutant(NamedTuple):
    file: str
    line: int
    key: str  # identifies the change without its line number
    source: str  # the whole file with the change


def mutants(root: Path, file: str) -> list[Mutant]:
    """All mutants of a file, in the order of its text."""
    source = (root / file).read_text(encoding="utf-8")
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found, seen = [], Counter()
    for scope, node, new in changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        stop = starts[node.end_lineno - 1] + node.end_col_offset
        text = source.encode()
        before = " ".join(text[start:stop].decode().split())
        changed = (text[:start] + new.encode() + text[stop:]).decode()
        name = f"{file} {scope}: {before} → {new}"
        seen[name] += 1
        number = f" ({seen[name]})" if seen[name] > 1 else ""
        found.append(Mutant(file, node.lineno, name + number, changed))
    return found


def changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield (function or class, node to replace, its new text)."""
    for scope, node, anchor in visit(tree, "", None):
        edits = [(node, new) for new in (*statements(node), *expressions(node))]
        for old, new in (*edits, *conditions(node)):
            if anchor is None or anchor is old:
                yield scope, old, text(new)
            else:  # inside an f-string, whose parts have no positions of their own in the text
                yield scope, anchor, ast.unparse(copy.deepcopy(anchor, {id(old): new}))


def text(new: ast.AST) -> str:
    if isinstance(new, (ast.stmt, ast.Constant, ast.Name, ast.Call, ast.Subscript, ast.JoinedStr)):
        return ast.unparse(new)
    return f"({ast.unparse(new)})"


def visit(node: ast.AST, scope: str, anchor: ast.AST | None) -> Iterator[tuple[str, ast.AST, ast.AST | None]]:
    """Yield each node that may change, with its function or class and the f-string that contains it."""
    if isinstance(node, UNTOUCHED) or is_log(node) or is_for_types(node):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast":
        yield from visit(node.args[1], scope, anchor)  # its first argument is for types
        return
    if isinstance(node, ast.JoinedStr) and anchor is None:
        anchor = node
    yield scope, node, anchor
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        scope = f"{scope}.{node.name}" if scope else node.name
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "format_spec", "bases", "ctx"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from visit(child, scope, anchor)


def is_log(node: ast.AST) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    owner = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in LOGS


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value=ast.expr() as value) if not is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value) if not is_none(value):
            yield edited(node, value=ast.Constant(None))
        case ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield edited(node, op=OPERATORS[type(op)]())
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def conditions(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield (condition, its replacement)."""
    match node:
        case ast.If(test=test):
            yield from ((test, ast.Constant(truth)) for truth in (True, False))
        case ast.While(test=test):
            yield test, ast.Constant(False)
        case ast.comprehension(ifs=tests):
            yield from ((test, ast.Constant(truth)) for test in tests for truth in (True, False))


def expressions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float() as value):
            yield ast.Constant(value * 1.1 or 1.0)
        case ast.Constant(value=str() as value):
            yield ast.Constant(f"XX{value}XX")
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            yield edited(node, op=OPERATORS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                yield edited(node, ops=[*ops[:i], COMPARISONS[type(op)](), *ops[i + 1 :]])
        case ast.BoolOp(op=op, values=values):
            yield edited(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for i in range(len(values)):
                left = [*values[:i], *values[i + 1 :]]
                yield edited(node, values=left) if len(left) > 1 else left[0]
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.Call(func=function, args=args, keywords=keywords):
            yield from calls(node, function, args, keywords)
        case ast.Subscript(slice=ast.Slice() as ends):
            for end in ("lower", "upper", "step"):
                if getattr(ends, end):
                    yield edited(node, slice=edited(ends, **{end: None}))
        case ast.Lambda(body=body) if not is_none(body):
            yield edited(node, body=ast.Constant(None))


def calls(node: ast.Call, function: ast.expr, args: list, keywords: list) -> Iterator[ast.AST]:
    name = {ast.Name: "id", ast.Attribute: "attr"}.get(type(function), "")
    if new := FUNCTIONS.get(getattr(function, name, "")):
        yield edited(node, func=edited(function, **{name: new}))
    starred = any(isinstance(arg, ast.Starred) for arg in args[:2])
    symmetric = getattr(function, name, "") in ("max", "maximum", "min", "minimum")
    if len(args) > 1 and not starred and not symmetric and ast.dump(args[0]) != ast.dump(args[1]):
        yield edited(node, args=[args[1], args[0], *args[2:]])
    for i, keyword in enumerate(keywords):
        if keyword.arg:
            yield edited(node, keywords=[*keywords[:i], *keywords[i + 1 :]])


def edited(node: ast.AST, **fields: object) -> ast.AST:
    """Copy a node with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
