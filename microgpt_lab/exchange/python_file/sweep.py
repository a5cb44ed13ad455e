"""Leave out of a text what the program at its end never uses."""

from __future__ import annotations

import ast

from microgpt_lab.exchange.python_file.calls import remove_parameters
from microgpt_lab.exchange.python_file.live import SETUP, TRACED, Live, assignments, defined
from microgpt_lab.exchange.python_file.source import (
    Function,
    Source,
    bodies,
    functions,
    is_load,
    parameters,
    walk,
)


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
            for each in node.body if node.name in TRACED else ():
                if called and isinstance(each, ast.Assign) and len(each.targets) > 1:
                    unused = [t for t in each.targets if (node.name, ast.unparse(t)) not in called]
                    for target in unused if len(unused) < len(each.targets) else ():
                        start, end = source.span(target)
                        source.replace((start, source.data.index(b"= ", end) + 2), "")
            members = [each for each in node.body if is_inherited(each)]
            source.remove(members, node.body)
    text = source.edited()
    return without_functions(without_locals(without_options(without_attributes(text))))


def without_functions(text: str) -> str:
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


def grown(node: ast.stmt) -> str:
    """Return the name of the list that a statement such as `names.append(x)` adds to, if it does."""
    if isinstance(node, ast.Expr) and isinstance(call := node.value, ast.Call):
        is_method = isinstance(call.func, ast.Attribute) and call.func.attr in ("append", "insert", "extend")
        if is_method and isinstance(call.func.value, ast.Name):  # type: ignore
            return call.func.value.id  # type: ignore
    return ""


def without_locals(text: str) -> str:
    """Drop local variables that are never read, since what read them has gone."""
    source = Source(text)
    for _, function in functions(source.tree):
        growing = [each for each in walk(function) if isinstance(each, ast.Expr) and grown(each)]
        inside = {id(each.value.func.value) for each in growing}  # type: ignore
        loaded = {
            n.id for n in walk(function) if isinstance(n, ast.Name) and is_load(n) and id(n) not in inside
        }
        declared = {n for s in walk(function) if isinstance(s, ast.Nonlocal | ast.Global) for n in s.names}
        for body in bodies(function):
            source.remove([each for each in body if each in growing and grown(each) not in loaded], body)
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
