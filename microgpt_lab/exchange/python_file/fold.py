"""Leave out of a text what a run never does, because of the values of its options."""

from __future__ import annotations

import ast

from microgpt_lab.exchange.python_file.known import UNKNOWN, Attributes, Scope, constant_methods
from microgpt_lab.exchange.python_file.source import Source, bodies, expressions, functions


def folded(text: str, attributes: Attributes) -> str:
    """Return the text without branches that are never taken, and without code after a return."""
    source = Source(text)
    constants = constant_methods(source, attributes)
    for owner, function in functions(source.tree):
        scope = Scope(attributes, owner.name if owner else "", function, constants)
        for body in bodies(function):
            fold_body(source, body, scope)
        for node in expressions(function):
            fold_expression(source, node, scope)
    return source.edited()


def fold_body(source: Source, body: list[ast.stmt], scope: Scope) -> None:
    removed: list[ast.stmt] = []
    for i, node in enumerate(body):
        if isinstance(node, ast.Return | ast.Raise | ast.Continue) and body[i + 1 :]:
            removed += body[i + 1 :]
            break
        if is_same(node):
            removed.append(node)
        elif is_returned(node, body[i + 1 :]):
            assert isinstance(node, ast.Assign)
            source.replace((source.span(node)[0], source.span(node.value)[0]), "return ")
            removed += body[i + 1 :]
            break
        elif isinstance(node, ast.For) and (is_empty(scope, node.iter) or isinstance(node.body[0], ast.Pass)):
            removed.append(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.YieldFrom):
            iterated = node.value.value
            if isinstance(iterated, ast.GeneratorExp) and is_empty(scope, iterated.generators[0].iter):
                removed.append(node)
        elif isinstance(node, ast.If):
            truth = scope.truth(node.test)
            chosen = node.body if truth else node.orelse
            if truth is not None and chosen:
                replace_by(source, node, chosen)
            elif truth is not None:
                removed.append(node)
    source.remove(removed, body)


def is_empty(scope: Scope, node: ast.expr) -> bool:
    return scope.value(node) in ((), [], {})


def is_returned(node: ast.stmt, rest: list[ast.stmt]) -> bool:
    """Return whether a statement is `x = …`, and the next and last one `return x`."""
    if not isinstance(node, ast.Assign) or len(rest) != 1 or not isinstance(rest[0], ast.Return):
        return False
    target, value = node.targets[0], rest[0].value
    return isinstance(target, ast.Name) and isinstance(value, ast.Name) and target.id == value.id


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
