"""`python -m microgpt_lab plugins`: what is installed, where it is from, and what is not and why."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import Parser
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options.keys import format_value, option_descriptions
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.terminal import terminal


def main(arguments: list[str]) -> int:
    parser = Parser("plugins", description="List the parts that are installed.")
    parser.add_argument(
        "kind", nargs="?", help=f"only of this kind, with a line for each option: {', '.join(KINDS)}"
    )
    kind = parser.parse_args(arguments).kind
    if kind and kind not in KINDS:
        raise UserError(f"'{kind}' is not a kind of part{suggest(kind, KINDS)}")
    console = terminal(200)
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "what it is", "options", "from"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "part")
    for part in sorted(registry().parts.values(), key=lambda part: (KINDS.index(part.kind), part.name)):
        if kind in (None, part.kind):
            options = " ".join(
                f"{name}={format_value(option.default)}" for name, option in part.options.items()
            )
            provider = "" if part.first_party else part.provider
            name = f"[cyan]{part.kind}={part.name}[/]"
            table.add_row(name, escape(part.summary), escape(options), f"[dim]{escape(provider)}[/]")
            for row in option_rows(part) if kind else ():
                table.add_row(*row)
    console.print(table)
    for plugin, why in registry().skipped.items():
        console.print(f"[red]skipped[/] {escape(plugin)}: {escape(why)}", soft_wrap=True)
    for clash in registry().clashes.values():
        console.print(f"[red]clash[/] {escape(clash)}", soft_wrap=True)
    return 0


def option_rows(part: Part) -> Iterator[tuple[str, str]]:
    """Each option with what the part's docstring says of it."""
    said = option_descriptions(part.make)
    prefix = f"callback.{part.name}" if part.kind == "callback" else part.kind
    for name, option in part.options.items():
        yield f"  {prefix}.{name}={format_value(option.default)}", escape(said.get(name, ""))
