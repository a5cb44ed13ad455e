"""`python -m microgpt_lab plugins`: what is installed, where it is from, and what is not and why."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import Parser
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.plugins import KINDS, registry


def main(arguments: list[str]) -> int:
    parser = Parser("microgpt_lab plugins", description="List the parts that are installed.")
    parser.add_argument("kind", nargs="?", help=f"only of this kind: {', '.join(KINDS)}")
    kind = parser.parse_args(arguments).kind
    if kind and kind not in KINDS:
        raise UserError(f"'{kind}' is no kind of part{suggest(kind, KINDS)}")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "what it is", "options", "from"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "part")
    for part in sorted(registry().parts.values(), key=lambda part: (KINDS.index(part.kind), part.name)):
        if kind in (None, part.kind):
            options = " ".join(f"{name}={option.default}" for name, option in part.options.items())
            provider = "" if part.provider.startswith("microgpt_lab_plugins.") else part.provider
            name = f"[cyan]{part.kind}={part.name}[/]"
            table.add_row(name, escape(part.summary), escape(options), f"[dim]{escape(provider)}[/]")
    console.print(table)
    for plugin, why in registry().skipped.items():
        console.print(f"[red]skipped[/] {escape(plugin)}: {escape(why)}", soft_wrap=True)
    for clash in registry().clashes.values():
        console.print(f"[red]clash[/] {escape(clash)}", soft_wrap=True)
    return 0
