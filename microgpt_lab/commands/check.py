"""`python -m microgpt_lab check TARGET`: check parts, and print what each holds and breaks."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from microgpt_lab.checks.cases import Broken, Untried
from microgpt_lab.checks.parts import SAME, Check, checks_of, parts_of
from microgpt_lab.checks.targets import imported, plugins_at, plugins_in
from microgpt_lab.commands import PROGRAM, Parser
from microgpt_lab.errors import UserError, nearest, printable, suggest
from microgpt_lab.registry.hookspecs import KINDS, hook_of
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import only, registry
from microgpt_lab.terminal import print_table, terminal

TARGET = "a part (swish, activation=swish), a file, a folder, or a module that can be imported"
HELD, BROKEN, UNTRIED = "held", "broken", "not tried"
COLORS = {HELD: "green", BROKEN: "red", UNTRIED: "dim"}


@dataclass
class Outcomes:
    """What was found of a part: the outcome of each check, and the error if it did not hold."""

    part: Part
    found: list[tuple[Check, str, Exception | None]] = field(default_factory=list)

    def number(self, outcome: str) -> int:
        return sum(each == outcome for _, each, _ in self.found)

    def without(self) -> Iterator[tuple[str, Exception]]:
        """Yield each backend that could not be used, and why."""
        for check, outcome, why in self.found:
            if outcome == UNTRIED and why and check.name.startswith(SAME) and self.number(HELD):
                yield check.name.removeprefix(SAME), why


def main(arguments: list[str]) -> int:
    parser = Parser(
        "check",
        description="Check that parts do what their kinds must do, on every installed backend. The exit "
        "status is 0 if everything holds, 1 if something is broken, 2 if there is nothing to check.",
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET)
    parts, registered = parts_named(parser.parse_args(arguments).target)
    console, started, all_outcomes = terminal(100), time.perf_counter(), []
    with registered:
        for part in parts:
            all_outcomes.append(outcomes_of(part))
            print_outcomes(console, all_outcomes[-1])
    print_summary(console, all_outcomes, time.perf_counter() - started)
    return int(any(each.number(BROKEN) for each in all_outcomes))


def parts_named(target: str) -> tuple[list[Part], contextlib.AbstractContextManager]:
    """Return the parts to check, and a context in which the registry has what they are checked with.

    An installed part is tried among all that is installed; those of a file, folder or module among the lab's
    own. UserError if there are none.
    """
    kind, equals, name = target.partition("=")
    if equals and kind in KINDS:
        return [registry().get(kind, name)], contextlib.nullcontext()
    path = Path(target)
    is_path = path.name != target or path.suffix == ".py"
    if not is_path and (installed := installed_parts(target)):
        return installed, contextlib.nullcontext()
    if os.path.exists(target):  # noqa: PTH110  False for what no file can be called
        plugins = plugins_at(path)
    elif not is_path and importable(target):
        plugins = plugins_in(imported(target, Path.cwd()))
    else:
        raise UserError(f"'{target}' is no part, file, folder or module{hint(target, is_path)}")
    try:
        parts = [part for plugin in plugins for part in parts_of(plugin)]
    except Exception as error:
        raise UserError(f"{target}: {error}") from None
    if not parts:
        hooks = f"{hook_of(KINDS[0])}() or {hook_of(KINDS[1])}()"
        raise UserError(f"{target} defines no part: it needs a function such as {hooks} with @hookimpl")
    return parts, only(*plugins)


def installed_parts(name: str) -> list[Part]:
    """Return the installed part of this name. UserError if there are two."""
    kinds = [kind for kind, each in registry().choices if each == name]
    if len(kinds) > 1:
        choices = " or ".join(f"{kind}={name}" for kind in kinds)
        raise UserError(f"there are {len(kinds)} parts called '{name}': write {choices}")
    return [registry().get(kind, name) for kind in kinds]


def importable(name: str) -> bool:
    if not all(word.isidentifier() for word in name.split(".")):
        return False
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(name) is not None
    return False


def hint(target: str, is_path: bool) -> str:
    """Return the end of the error message for a target that does not exist."""
    if is_path:
        return ""
    if target in KINDS:
        return f"; it is a kind of part: write {target}=NAME"
    if why := registry().skipped_as(target):
        return f"; {why}"
    kind, equals, _ = target.partition("=")
    if equals:
        return f": '{kind}' is not a kind of part{suggest(kind, KINDS)}"
    near = nearest(target, [name for _, name in registry().choices])
    return f"; did you mean '{near}'?" if near else f" ({PROGRAM} plugins lists the parts)"


def outcomes_of(part: Part) -> Outcomes:
    """Make all checks of a part, and show on stderr which one it is at."""
    outcomes, checks = Outcomes(part), checks_of(part)
    progress = Console(stderr=True, highlight=False)
    with progress.status("") as status:
        for i, check in enumerate(checks, start=1):
            status.update(f"{escape(check.name)} ({i} of {len(checks)}), {part.kind}={escape(part.name)}")
            outcomes.found.append((check, *outcome_of(check)))
    return outcomes


def outcome_of(check: Check) -> tuple[str, Exception | None]:
    # What a callback prints is its business; what another part prints was meant for its author.
    output = io.StringIO() if check.part.kind == "callback" else sys.stderr
    try:
        with contextlib.redirect_stdout(output):
            check.run()
    except Untried as why:
        return UNTRIED, why
    except Broken as error:
        return BROKEN, error
    return HELD, None


def print_outcomes(console: Console, outcomes: Outcomes) -> None:
    """Print a table: a row for each check, and below each that is broken, how."""
    part, table = outcomes.part, Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    without, said = dict(outcomes.without()), {}
    for check, outcome, error in outcomes.found:
        if check.name.removeprefix(SAME) in without:
            continue
        table.add_row(f"  {escape(check.name)}", f"[{COLORS[outcome]}]{outcome}[/]")
        if isinstance(error, Untried):
            table.add_row("", f"[dim]{escape(printable(str(error)))}[/]")
        if isinstance(error, Broken):
            reason = f"{error.setting and f'with {error.setting}: '}{error.reason}"
            shown = f"as '{said[reason]}'" if reason in said else printable(reason)
            said.setdefault(reason, check.name)
            table.add_row("", escape(shown))
    console.print(f"[bold]{part.kind}={escape(part.name)}[/]  {escape(part.summary)}", soft_wrap=True)
    print_table(console, table)
    if without:
        reasons = ", ".join(f"{name} ({why})" for name, why in without.items())
        console.print(f"  [dim]not checked: {escape(reasons)}[/]", soft_wrap=True)


def print_summary(console: Console, all_outcomes: list[Outcomes], seconds: float) -> None:
    held, broken = (sum(each.number(what) for each in all_outcomes) for what in (HELD, BROKEN))
    parts = f"{len(all_outcomes)} parts: " if len(all_outcomes) > 1 else ""
    names = [f"{each.part.kind}={each.part.name}" for each in all_outcomes if each.number(BROKEN)]
    which = f" ({', '.join(map(escape, names))})" if parts and names else ""
    end = f"[red]{broken} broken[/]{which}" if broken else "none broken"
    console.print(f"{parts}[green]{held} held[/], {end}, in {seconds:.1f} s", soft_wrap=True)
