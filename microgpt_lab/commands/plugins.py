"""`python -m microgpt_lab plugins`: list the installed parts, and the plugins that could not be used."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import PROGRAM, Parser
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options.keys import format_default, is_default, option_descriptions
from microgpt_lab.options.presets import presets
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.terminal import print_table, terminal


def main(arguments: list[str]) -> int:
    parser = Parser("plugins", description="List the installed parts and their options.")
    parser.add_argument(
        "kind",
        nargs="?",
        help=f"list only parts of this kind, with one line per option: {', '.join(KINDS)}",
    )
    kind = parser.parse_args(arguments).kind
    if kind in ("model", *presets()):
        raise UserError(f"'{kind}' is not a kind of part: {PROGRAM} help model lists the presets of models")
    if kind and kind not in KINDS:
        raise UserError(f"'{kind}' is not a kind of part{suggest(kind, KINDS)}")
    console = terminal(200)
    parts = sorted(registry().choices.values(), key=lambda part: (KINDS.index(part.kind), part.name))
    parts = [part for part in parts if kind in (None, part.kind)]
    foreign = not all(part.first_party for part in parts)
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "description", *(["from"] if foreign else [])):
        table.add_column(heading, overflow="fold", no_wrap=heading == "part")
    for part in parts:
        provider = [] if part.first_party else [f"[dim]{escape(part.provider)}[/]"]
        mark = " [dim](default)[/]" if is_default(part) else ""
        table.add_row(f"[cyan]{part.kind}={part.name}[/]{mark}", escape(part.summary), *provider)
        for row in option_rows(part) if kind else ():
            table.add_row(*row)
        if part.options and not kind:
            options = (f"{name}={format_default(option.default)}" for name, option in part.options.items())
            table.add_row("", f"[dim]{escape(' '.join(options))}[/]")
    print_table(console, table)
    for plugin, why in registry().skipped.items():
        console.print(f"[red]skipped[/] {escape(plugin)}: {escape(why)}", soft_wrap=True)
    for clash in registry().clashes.values():
        console.print(f"[red]clash[/] {escape(clash)}", soft_wrap=True)
    return 0


def option_rows(part: Part) -> Iterator[tuple[str, str]]:
    """Yield each option of a part, with the sentence from its docstring."""
    sentences = option_descriptions(part.make)
    prefix = f"callback.{part.name}" if part.kind == "callback" else part.kind
    for name, option in part.options.items():
        yield f"  {prefix}.{name}={format_default(option.default)}", escape(sentences.get(name, ""))
