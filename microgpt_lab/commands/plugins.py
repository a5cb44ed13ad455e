"""`python -m microgpt_lab plugins`: list the installed parts, and the plugins that could not be used."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import PROGRAM, Parser
from microgpt_lab.errors import UserError, printable, suggest
from microgpt_lab.options.keys import format_default, is_default, option_descriptions
from microgpt_lab.options.presets import presets
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.origins import origin
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.versions import HOOKS, changes
from microgpt_lab.run.environment import source_sha256
from microgpt_lab.run.sources import DIGITS
from microgpt_lab.terminal import print_table, terminal


def main(arguments: list[str]) -> int:
    parser = Parser(
        "plugins", description="List the installed parts, their options, and where they come from."
    )
    parser.add_argument(
        "word",
        nargs="?",
        metavar="KIND|NAME|KIND=NAME",
        help=f"list only parts of this kind, with one line per option ({', '.join(KINDS)}); or show one part "
        "in full, with its version, file and licence",
    )
    word = parser.parse_args(arguments).word
    console = terminal(200)
    if word and word not in KINDS:
        print_table(console, table_of(row for part in named(word) for row in in_full(part)))
        return 0
    parts = sorted(registry().choices.values(), key=lambda part: (KINDS.index(part.kind), part.name))
    parts = [part for part in parts if word in (None, part.kind)]
    listed = with_options if word else in_short
    print_table(console, table_of(row for part in parts for row in listed(part)))
    for plugin, why in registry().skipped.items():
        console.print(f"[red]skipped[/] {escape(plugin)}: {escape(why)}", soft_wrap=True)
    for clash in registry().clashes.values():
        console.print(f"[red]clash[/] {escape(clash)}", soft_wrap=True)
    return 0


def named(word: str) -> list[Part]:
    """Return the part KIND=NAME, or those of all kinds that have this name. UserError if there are none."""
    kind, _, name = word.rpartition("=")
    if word in ("model", *presets()) or kind == "model":
        raise UserError(f"'{word}' is not a kind of part: {PROGRAM} help model lists the presets of models")
    if kind and kind not in KINDS:
        raise UserError(f"'{kind}' is not a kind of part{suggest(kind, KINDS)}")
    choices = registry().choices
    kinds = [kind] if kind else [k for k in KINDS if (k, name) in choices]
    if not kinds:
        if why := registry().skipped_as(name):
            raise UserError(why)
        known = {*KINDS, *(name for _, name in choices)}
        near = suggest(name, known)
        raise UserError(
            f"'{name}' is no part and no kind of part" + (near if "mean" in near else suggest(name, KINDS))
        )
    return [choices[k, name] if (k, name) == ("backend", "auto") else registry().get(k, name) for k in kinds]


def table_of(rows: Iterator[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("part", no_wrap=True)
    table.add_column("description", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def heading(part: Part) -> tuple[str, str]:
    """Return a part with its sentence."""
    mark = " [dim](default)[/]" if is_default(part) else ""
    return f"[cyan]{part.kind}={escape(part.name)}[/]{mark}", escape(part.summary)


def in_short(part: Part) -> Iterator[tuple[str, str]]:
    """Yield a part, all its options in one row, and where it comes from."""
    yield heading(part)
    if part.options:
        options = (f"{name}={format_default(option.default)}" for name, option in part.options.items())
        yield "", f"[dim]{escape(' '.join(options))}[/]"
    if not part.first_party:
        yield "", f"[dim]from {escape(origin_in_short(part))}[/]"


def with_options(part: Part) -> Iterator[tuple[str, str]]:
    """Yield a part, a row for each option, and where it comes from."""
    yield heading(part)
    yield from option_rows(part)
    if not part.first_party:
        yield "  [dim]from[/]", f"[dim]{escape(origin_in_short(part))}[/]"


def in_full(part: Part) -> Iterator[tuple[str, str]]:
    """Yield a part, its options, and what is known of its origin."""
    yield heading(part)
    yield from option_rows(part)
    found = origin(part)
    facts = {
        "provider": found.distribution or part.provider,
        "version": found.version,
        "licence": found.licence,
        "file": found.file,
        "sha256": source_sha256(part),
    }
    if found.hooks:
        since = changes(found.hooks, [part.kind]) or "nothing that concerns it"
        facts["hooks"] = f"version {found.hooks}" + f"; since then: {since}" * (found.hooks < HOOKS)
    elif not part.first_party:
        facts["hooks"] = ""
    for name, fact in facts.items():
        yield f"  [dim]{name}[/]", escape(printable(fact or "not stated"))


def origin_in_short(part: Part) -> str:
    """Return provider, version, licence and file of a part, in one line. A file is identified by its hash."""
    found = origin(part)
    older = f"version {found.hooks} of the hooks" if found.hooks and found.hooks < HOOKS else ""
    package = f"{found.distribution} {found.version}" if found.distribution else ""
    own_version = f"version {found.version}" if found.version and not package else ""
    digest = "" if package else f"sha256 {(source_sha256(part) or '')[:DIGITS]}"
    facts = (package, own_version, found.licence, older, found.file or part.provider, digest)
    return printable(", ".join(filter(None, facts)))


def option_rows(part: Part) -> Iterator[tuple[str, str]]:
    """Yield each option of a part, with the sentence from its docstring."""
    sentences = option_descriptions(part.make)
    prefix = f"callback.{part.name}" if part.kind == "callback" else part.kind
    for name, option in part.options.items():
        shown = f"  {prefix}.{name}={format_default(option.default)}"
        yield escape(shown), escape(sentences.get(name, ""))
