"""Collect the definitions that a run may use into one text, in reading order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import NamedTuple

from microgpt_lab.errors import UserError
from microgpt_lab.exchange.python_file.checks import without_checks
from microgpt_lab.exchange.python_file.modules import BUILTINS, Symbol, module
from microgpt_lab.exchange.python_file.program import RESERVED
from microgpt_lab.exchange.python_file.source import Function, Source, is_load, walk
from microgpt_lab.registry.folders import FIRST_PARTY

# Modules in the order in which they are read. Those of parts come before "microgpt_lab.core.wiring".
SECTIONS = {
    "Autograd: each number is a Value": ("core.autograd", "tensors.dot"),
    "Functions of a number, and their derivatives": ("core.floats",),
    "Tensors of Values": ("core.places", "tensors.views", "tensors.tensor"),
    "Functions of tensors": ("core.ops", "core.derived"),
    "The GPT and its parts": ("core.interface", "core.heads", "core.model", "parts", "core.wiring", "GPT"),
    "Optimizer and learning rate": ("core.warmup", "optimizer"),
    "Text to tokens": ("core.streams", "core.tokenizer", "tokenizer"),
    "Generation": ("core.cache", "core.sampler", "sampler"),
    "Training": ("core.backend",),
}
ORDER = [name for names in SECTIONS.values() for name in names]
LAST_KINDS = {
    "optimizer": "optimizer",
    "scheduler": "optimizer",
    "tokenizer": "tokenizer",
    "sampler": "sampler",
}
COPIED = ("microgpt_lab.core.", "microgpt_lab.tensors.", "microgpt_lab.errors", "microgpt_lab.ops")
CHECKS = ("at_least", "above", "between")


class Definition(NamedTuple):
    symbol: Symbol
    node: ast.stmt
    place: tuple[int, str, int]  # in ORDER, the module, and the place in it


def needed(seeds: Iterable[Symbol], kinds: dict[Symbol, str]) -> dict[Symbol, Definition]:
    """Return the definitions that these need, directly or not, by symbol.

    kinds: the kind of each part.
    """
    found: dict[Symbol, Definition] = {}
    todo = list(seeds)
    while todo:
        symbol = todo.pop()
        if symbol in found or symbol.is_library or not symbol.name or left_out(symbol):
            continue
        owner = module(symbol.module)
        node = owner.definitions[symbol.name]
        found[symbol] = Definition(
            symbol, node, (position(symbol, kinds), symbol.module, owner.source.span(node)[0])
        )
        todo += (each for _, each in owner.globals_in(node))
    return found


def left_out(symbol: Symbol) -> bool:
    """Return whether a definition is of the lab, but has no place in a file: see, and all but its core."""
    if symbol.module == "microgpt_lab.core.see":
        return True
    return symbol.module.startswith("microgpt_lab.") and not symbol.module.startswith(COPIED)


def position(symbol: Symbol, kinds: dict[Symbol, str]) -> int:
    """Return the index in ORDER of a definition."""
    name = "GPT" if symbol.name == "GPT" else symbol.module.removeprefix("microgpt_lab.")
    if name in ORDER:
        return ORDER.index(name)
    near = [
        part for part in kinds if f"{symbol.module}.".startswith(f"{part.module}.")
    ]  # its file, or folder
    places = [LAST_KINDS.get(kinds[part], "parts") for part in ([symbol] if symbol in kinds else near)]
    return min(map(ORDER.index, places), default=ORDER.index("parts"))


def ordered(found: dict[Symbol, Definition]) -> list[Definition]:
    """Return definitions in reading order, but after what must be defined before them."""
    out: dict[Symbol, Definition] = {}

    def add(each: Definition) -> None:
        if each.symbol in out:
            return
        for other in sorted(at_definition(each, found), key=lambda d: d.place):
            if other.symbol != each.symbol:
                add(other)
        out[each.symbol] = each

    for each in sorted(found.values(), key=lambda d: d.place):
        add(each)
    return list(out.values())


def at_definition(each: Definition, found: dict[Symbol, Definition]) -> list[Definition]:
    """Return what a definition needs when it is executed: bases, decorators, and the values of constants."""
    node, owner = each.node, module(each.symbol.module)
    parts: list[ast.AST] = [node]
    if isinstance(node, Function):
        parts = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    elif isinstance(node, ast.ClassDef):
        inside = [n.value for n in node.body if isinstance(n, ast.Assign)]
        inside += [
            n.value for n in node.body if isinstance(n, ast.AnnAssign) and n.value and node.name != "GPT"
        ]
        parts = [*node.decorator_list, *node.bases, *inside]
    elif isinstance(node, ast.AnnAssign) and node.value:
        parts = [node.value]
    symbols = {symbol for part in parts for _, symbol in owner.globals_in(part)}
    return [found[symbol] for symbol in symbols if symbol in found]


def assembled(definitions: list[Definition], names: dict[Symbol, str]) -> str:
    """Return the definitions in one namespace, as a text."""
    text, before = "", None
    for each in definitions:
        if each.node is not before:  # a = b = …
            close = isinstance(each.node, ast.Assign) and isinstance(before, ast.Assign)
            text += ("" if close else "\n\n") + renamed(each, names)
        before = each.node
    return text


def output_names(definitions: list[Definition], first: list[Symbol]) -> tuple[dict[Symbol, str], list[str]]:
    """Return the name of each symbol in the file, and the imports.

    Of definitions with one name, the last keeps it, or one of `first`. The others, and those that are called
    like a builtin or a variable of the program, are named after their module too: floats_exp.
    """
    names: dict[Symbol, str] = {}
    libraries: set[Symbol] = set()
    of_first = [each for each in definitions if each.symbol in first]
    others = [each for each in definitions if each.symbol not in first]
    taken: set[str] = {*BUILTINS, *RESERVED}
    for each in [*of_first, *reversed(others)]:
        name = each.symbol.name
        if name in taken:
            name = f"{each.symbol.module.rpartition('.')[2]}_{name}"
        if name in taken:
            raise UserError(f"two parts define '{each.symbol.name}': rename one of them")
        names[each.symbol], _ = name, taken.add(name)
        libraries |= {s for _, s in module(each.symbol.module).globals_in(each.node) if s.is_library}
    lines = []
    for symbol in sorted(libraries):
        names[symbol] = wanted = symbol.name or symbol.module
        if wanted in taken:
            names[symbol] = f"{symbol.module.replace('.', '_')}_{symbol.name}"
        taken.add(names[symbol])
        alias = "" if names[symbol] == wanted else f" as {names[symbol]}"
        lines.append(f"from {symbol.module} import {wanted}{alias}" if symbol.name else f"import {wanted}")
    return names, lines


def renamed(each: Definition, names: dict[Symbol, str]) -> str:
    """Return the text of a definition, with the names that its globals have in the file."""
    owner = module(each.symbol.module)
    text = owner.source.between(*owner.source.lines(each.node))
    range_checks = [Symbol("microgpt_lab.errors", name) for name in CHECKS]
    source = Source(
        without_checks(
            text,
            lambda called: isinstance(called, ast.Name) and owner.meaning(called.id) in range_checks,
            everywhere=each.symbol.module.startswith(("microgpt_lab.", f"{FIRST_PARTY}.")),
        )
    )
    [node] = source.tree.body
    strings = [place for place in walk(node) if isinstance(place, ast.JoinedStr)]
    inside = {id(place) for string in strings for place in walk(string)}
    new_names = {}
    for place, symbol in owner.globals_in(node):
        if symbol in names and (old := ast.unparse(place)) != names[symbol]:
            new_names[old] = names[symbol]
            if id(place) not in inside:
                source.replace(source.span(place), names[symbol])
        elif not symbol.name and not symbol.is_library:
            raise UserError(f"{each.symbol.module} uses all of {symbol.module}, which one file cannot have")
    for string in strings if new_names else ():  # before Python 3.12, places inside of it are wrong
        text = source.text(string)
        for old, changed in new_names.items():
            text = re.sub(rf"(?<=\{{){re.escape(old)}\b", changed, text)
        source.replace(source.span(string), text)
    new = names[each.symbol]
    if new != each.symbol.name:
        if isinstance(node, Function | ast.ClassDef):
            start = source.span(node)[0]
            head = re.compile(rb"(?:async def|def|class) ").match(source.data, start)
            if head:
                source.replace((head.end(), head.end() + len(each.symbol.name.encode())), new)
        else:
            defined = {place for place in walk(node) if isinstance(place, ast.Name) and not is_load(place)}
            for target in defined:
                if target.id in owner.definitions:
                    source.replace(source.span(target), names.get(Symbol(owner.name, target.id), target.id))
    return source.edited()
