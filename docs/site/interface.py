"""Pages of reference: the names of Python, the hooks, the keys and the commands, from the code itself."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any
from unittest import mock

from prose import escaped, facts, first_line, markdown

import microgpt_lab
from microgpt_lab import backends, commands, ops, testing
from microgpt_lab.api.inspection import Inspection
from microgpt_lab.api.report import Report
from microgpt_lab.api.run import Run
from microgpt_lab.api.sweep import Sweep
from microgpt_lab.commands import COMMANDS, PROGRAM
from microgpt_lab.commands.help import FLAGS, options
from microgpt_lab.core.ratio import Ratio
from microgpt_lab.inspection.ablation import Ablation
from microgpt_lab.inspection.attention import Head
from microgpt_lab.inspection.attribution import Attribution, Entry
from microgpt_lab.inspection.expected import Lens, Prediction
from microgpt_lab.inspection.health import Activation, Health, Matrix
from microgpt_lab.inspection.names import Axis
from microgpt_lab.inspection.printing import Numbers
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.inspection.statement import Ledger, Number, Parent, Use
from microgpt_lab.options.keys import OWNERS
from microgpt_lab.registry import hookspecs
from microgpt_lab.registry.hookspecs import EVENTS, KINDS, hook_of
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run.evaluate import Evaluation

WIDTH = 88  # characters of a line of code
RETURNED = """`train` and `load_run` return a `Run`, and `sweep` a `Sweep`. The others are what their methods
return. [Use it from Python](docs/python.md) shows them at work."""
VIEWS = """`run.inspect(text)` returns an `Inspection`. Its views are dataclasses of plain numbers, which a
notebook shows as tables. [See inside](docs/inspect.md) explains them."""
VIEW_CLASSES = (
    *(Inspection, Prediction, Lens, Attribution, Entry, Head, Ablation, Health, Matrix, Activation),
    *(Numbers, Axis, Ledger, Number, Parent, Use, Replay),
)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page of reference, in their order."""
    yield "reference/python.md", module_page("Names in `microgpt_lab`", microgpt_lab)
    classes = Run, Evaluation, Ratio, Sweep, Report
    yield "reference/results.md", page("What `train` and `sweep` return", RETURNED, classes)
    yield "reference/views.md", page("What `inspect` returns", VIEWS, VIEW_CLASSES)
    yield "reference/ops.md", module_page("Functions in `microgpt_lab.ops`", ops)
    yield "reference/backends.md", module_page("For backends: `microgpt_lab.backends`", backends)
    yield "reference/testing.md", module_page("Test helpers in `microgpt_lab.testing`", testing)
    yield "reference/hooks.md", hooks()
    yield "reference/keys.md", keys()
    yield "reference/commands.md", command_lines()


def module_page(heading: str, module: ModuleType) -> str:
    """Return the page of a module: each public name with its signature and its docstring.

    The docstring of the module says what its constants are.
    """
    about = inspect.getdoc(module) or ""
    others = {name: text for name, text in facts(about).items() if name in module.__all__}
    blocks = [f"# {heading}", markdown(about, frozenset(others))]
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        blocks += constant(name, value, others[name]) if name in others else entries(name, value)
    return joined(blocks)


def page(heading: str, about: str, classes: Iterable[type]) -> str:
    """Return the page of classes."""
    blocks = [block for each in classes for block in entries(each.__name__, each)]
    return joined([f"# {heading}", about, *blocks])


def joined(blocks: Iterable[str]) -> str:
    """Return the text of a page."""
    return "\n\n".join(filter(None, blocks)) + "\n"


def constant(name: str, value: Any, about: str) -> list[str]:
    """Return the heading of a constant, what it is, and the keys of a dictionary."""
    keys = ", ".join(f"`{key}`" for key in value) if isinstance(value, dict) else ""
    return [f"## {name}", escaped(about[0].upper() + about[1:]), keys and f"Its keys: {keys}."]


def entries(name: str, value: Any) -> list[str]:
    """Return what is shown of a function or class, with its methods and properties."""
    return [*entry("##", name, value), *(block for each in methods(value) for block in entry("###", *each))]


def entry(level: str, name: str, value: Any) -> list[str]:
    """Return the heading, the signature and the docstring of a name."""
    return [
        f"{level} {name}",
        f"```python\n{signature(name, value)}\n```",
        markdown(inspect.getdoc(value) or ""),
    ]


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class, also those of its bases in the lab."""
    if not inspect.isclass(value):
        return
    own = [base for base in value.__mro__ if base.__module__.startswith("microgpt_lab")]
    for name in dict.fromkeys(name for base in own for name in vars(base)):
        found = inspect.getattr_static(value, name)
        found = getattr(found, "__func__", found)  # of class methods and static methods
        documented = isinstance(found, property | cached_property) or inspect.isfunction(found)
        if documented and not name.startswith("_") and inspect.getdoc(found):
            yield f"{value.__name__}.{name}", found


def signature(name: str, value: Any) -> str:
    """Return a call with the parameters and their types, in several lines if it is long.

    Of a property, return its type.
    """
    if isinstance(value, property | cached_property):
        getter = value.fget if isinstance(value, property) else value.func
        return plain(f"{name}: {inspect.formatannotation(inspect.signature(getter).return_annotation)}")
    if inspect.isclass(value) and issubclass(value, Exception):
        return f"{name}(message)"
    found = inspect.signature(value)
    if inspect.isclass(value):  # that of a dataclass returns None
        found = found.replace(return_annotation=found.empty)
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
