"""Pages of reference: the names of Python, the hooks, the keys and the commands, from the code itself."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any
from unittest import mock

from prose import escaped, first_line, markdown

import microgpt_lab
from microgpt_lab import commands, ops, testing
from microgpt_lab.commands import COMMANDS, PROGRAM
from microgpt_lab.commands.help import FLAGS, options
from microgpt_lab.options.keys import OWNERS
from microgpt_lab.registry import hookspecs
from microgpt_lab.registry.hookspecs import EVENTS, KINDS, hook_of
from microgpt_lab.registry.parts import options_of

WIDTH = 88  # characters of a line of code


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page of reference, in their order."""
    yield "reference/python.md", module_page("Names in `microgpt_lab`", microgpt_lab)
    yield "reference/ops.md", module_page("Functions in `microgpt_lab.ops`", ops)
    yield "reference/testing.md", module_page("Test helpers in `microgpt_lab.testing`", testing)
    yield "reference/hooks.md", hooks()
    yield "reference/keys.md", keys()
    yield "reference/commands.md", command_lines()


def module_page(heading: str, module: ModuleType) -> str:
    """Return the page of a module: each public name with its signature and its docstring."""
    blocks = [f"# {heading}", markdown(inspect.getdoc(module) or "")]
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        if not callable(value) or not value.__module__.startswith("microgpt_lab"):
            continue  # a constant, a module, or pluggy's marker
        blocks += entry("##", name, value)
        blocks += [block for each in methods(value) for block in entry("###", *each)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def entry(level: str, name: str, value: Any) -> list[str]:
    """Return the heading, the signature and the docstring of a name."""
    code = "" if isinstance(value, property) else f"```python\n{signature(name, value)}\n```"
    return [f"{level} {name}", code, markdown(inspect.getdoc(value) or "")]


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class, also those of its bases in the lab."""
    if not inspect.isclass(value):
        return
    own = [base for base in value.__mro__ if base.__module__.startswith("microgpt_lab")]
    for name in dict.fromkeys(name for base in own for name in vars(base)):
        found = inspect.getattr_static(value, name)
        found = getattr(found, "__func__", found)  # of class methods and static methods
        documented = isinstance(found, property) or inspect.isfunction(found)
        if documented and not name.startswith("_") and inspect.getdoc(found):
            yield f"{value.__name__}.{name}", found


def signature(name: str, value: Any) -> str:
    """Return a call with the parameters and their types, in several lines if it is long."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return f"{name}(message)"
    found = inspect.signature(value)
    shown = [parameter for name, parameter in found.parameters.items() if name != "self"]
    line = plain(f"{name}{found.replace(parameters=shown)}")
    if len(line) <= WIDTH:
        return line
    rows, starred = [], False
    for parameter in shown:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            rows.append("*")
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        rows.append(plain(str(parameter)))
    end = line[line.rfind(" -> ") :] if " -> " in line else ""
    return "\n".join([f"{name}(", *(f"    {row}," for row in rows), f"){end}"])


def plain(text: str) -> str:
    """Return a signature without the quotes of types that are written as texts."""
    text = re.sub(r"ForwardRef\(('[^']*')\)", r"\1", text)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def hooks() -> str:
    """Return the page of the hooks: those that define parts, then those that are called during a run."""
    blocks = ["# Hooks", markdown((hookspecs.__doc__ or "").strip())]
    for heading, names in (
        ("that define parts", [hook_of(kind) for kind in KINDS]),
        ("during a run", EVENTS),
    ):
        blocks.append(f"## Hooks {heading}")
        blocks += [block for name in names for block in entry("###", name, getattr(hookspecs, name))]
    return "\n\n".join(blocks) + "\n"


def keys() -> str:
    """Return the page of the keys of the command line that belong to no part, and of the flags."""
    blocks = ["# Keys", "Write `key=value`. The options of parts are on [their pages](plugins)."]
    seen: set[str] = set()  # of two owners with the same key, the first describes it
    for heading, owner in OWNERS.items():
        rows = [row(name, sentence) for name, sentence in options(owner, seen)]
        seen |= options_of(owner).keys()
        blocks.append("\n".join([f"## Keys of {heading}\n", "| key | default | |", "|---|---|---|", *rows]))
    flags = [f"| `{name}` | {escaped(sentence)} |" for name, sentence in FLAGS.items()]
    return "\n\n".join([*blocks, "\n".join(["## Flags\n", "| write | |", "|---|---|", *flags])]) + "\n"


def row(setting: str, sentence: str) -> str:
    """Return the row of a key=default with its sentence."""
    key, _, default = setting.partition("=")
    return f"| `{key}` | {f'`{default}`' if default else 'empty'} | {escaped(sentence)} |"


def command_lines() -> str:
    """Return the page of the commands: what each prints as its help."""
    blocks = ["# Commands", f"`{PROGRAM} key=value` trains. These are the other commands:"]
    for name, sentence in COMMANDS.items():
        blocks += [
            f"## {name}",
            first_line(sentence[0].upper() + sentence[1:] + "."),
            f"```text\n{usage([name])}\n```",
        ]
    return "\n\n".join(blocks) + "\n"


def usage(command: Sequence[str]) -> str:
    """Return what a command prints for --help, in lines of 100 characters."""
    shown = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="100"),
        contextlib.redirect_stdout(shown),
        contextlib.suppress(SystemExit),
    ):
        commands.main([*command, "--help"])
    return shown.getvalue().rstrip()
