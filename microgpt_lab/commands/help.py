"""`python -m microgpt_lab help [WORD]`, `--help`: every command, part and key, each with a sentence."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from microgpt_lab import __version__, commands
from microgpt_lab.commands import COMMANDS, PROGRAM
from microgpt_lab.errors import UserError, nearest, suggest
from microgpt_lab.options.keys import OWNERS, defaults, experiments, format_value, option_descriptions
from microgpt_lab.registry.folders import home
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEY_OF

HEAD = f"""microgpt_lab {__version__} trains GPTs at the smallest scale.

  {PROGRAM} activation=gelu layers=2           train
  {PROGRAM} -m activation=relu,gelu seed=0,1   train each combination: a sweep
  {PROGRAM} sample --prompt em                 sample from the newest run
"""
FLAGS = {
    "-m": "sweep: train a run of each combination of the values",
    "jobs=2": "with -m: at most so many runs at a time (default: one for each core)",
    "--dry": "say what would run, and for how long",
    "--cfg job": "print the whole configuration, and train nothing",
    "--version": "print the version",
}
FOOT = 'Tab completion, for the installed command: eval "$(microgpt-lab -sc install=bash)"'
COLUMN, WIDEST = 22, 110  # characters: of names, of a line


def main(arguments: list[str]) -> int:
    """The help of a command, a kind, a part or a key; without one, of everything, with the options of the
    parts that are chosen.
    """
    words = [word for word in arguments if not word.startswith("-") and word != "train"]
    if words and words[0] in COMMANDS:
        return commands.main([words[0], "--help"])
    width = min(shutil.get_terminal_size().columns, WIDEST)
    names, overrides = [w for w in words if "=" not in w], [w for w in words if "=" in w]
    if names:
        print("\n".join(entry(*row, width) for name in names for row in about(name)))
        return 0
    check_parts(overrides)
    print(HEAD)
    for heading, entries in sections(overrides):
        print(heading)
        for name, sentence in entries:
            print(entry(name, sentence, width))
        print()
    print(FOOT)
    return 0


def about(word: str) -> list[tuple[str, str]]:
    """The parts of a kind, a part and its options, what sets a key. UserError if it is none of these."""
    if word == "experiment":
        return [("experiment=NAME", f"a recipe: {', '.join(experiments())}")]
    if word == "jobs":
        return [("jobs=2", FLAGS["jobs=2"])]
    keys = {row[0].partition("=")[0]: row for owner in reversed(OWNERS.values()) for row in described(owner)}
    found, known = [keys[word]] if word in keys else [], {*COMMANDS, *keys, *KINDS}
    for (kind, name), part in sorted(registry().parts.items()):
        rows = described(part.make, prefix=f"callback.{name}." if kind == "callback" else f"{kind}.")
        known |= {name, *(row[0].partition("=")[0] for row in rows)}
        rows = rows if word == name else [row for row in rows if row[0].startswith(f"{word}=")]
        if word in (kind, name) or rows:
            found += [(f"{kind}={name}", part.summary), *rows]
    if not found:
        near = nearest(word, known, KEY_OF)
        raise UserError(
            f"'{word}' is no command, part or key{suggest(word, known if near else COMMANDS, KEY_OF)}"
        )
    return found


def check_parts(overrides: list[str]) -> None:
    """UserError for kind=name of which there is neither a part nor a preset."""
    for kind, _, names in (override.lstrip("+").partition("=") for override in overrides):
        for name in names.strip("[]").split(",") if kind in KINDS else ():
            if name and not (home() / "conf" / kind / f"{name}.yaml").is_file():
                registry().get(kind, name)


def sections(overrides: list[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Headings, and below each names with their option_descriptions."""
    yield f"Commands ({PROGRAM} help COMMAND says more)", list(COMMANDS.items())
    yield "Flags", list(FLAGS.items())
    names = [(kind, ", ".join(registry().names(kind))) for kind in KINDS]
    recipes = ("experiment", ", ".join(experiments()))
    yield f"Parts: write kind=name ({PROGRAM} plugins says what each is)", [*names, recipes]
    seen: set[str] = set()
    for heading, owner in OWNERS.items():
        entries = described(owner, {name for name in options_of(owner) if name in seen})
        yield f"Keys of {heading}: write key=value", entries
        seen |= options_of(owner).keys()
    yield "The parts that are chosen, and their options: write kind.option=value", list(chosen(overrides))


def chosen(overrides: list[str]) -> Iterator[tuple[str, str]]:
    """The options of the default parts, or of those that `kind=name` takes in their place."""
    said = {kind: value.strip("[]").split(",") for kind, _, value in (o.partition("=") for o in overrides)}
    for kind, names in (defaults() | said).items():
        for name, part in ((name, registry().parts.get((kind, name))) for name in names):
            if part is None:  # a preset of the user's
                continue
            prefix = f"callback.{name}." if kind == "callback" else f"{kind}."
            yield from [(f"{kind}={name}", part.summary), *described(part.make, prefix=prefix)]


def described(
    owner: Callable[..., Any], left_out: Iterable[str] = (), prefix: str = ""
) -> list[tuple[str, str]]:
    """Each option as it is by default, and what its owner's docstring says of it."""
    said = option_descriptions(owner)
    return [
        (f"{prefix}{name}={format_value(option.default)}", said.get(name, ""))
        for name, option in options_of(owner).items()
        if name not in left_out
    ]


def entry(name: str, sentence: str, width: int) -> str:
    """A name and its sentence beside it, or below it if the name is long."""
    indent = " " * (COLUMN + 3)
    text = textwrap.fill(sentence, width, initial_indent=indent, subsequent_indent=indent)
    if len(name) > COLUMN or not text:
        return f"  {name}\n{text}".rstrip()
    return f"  {name:<{COLUMN}} {text.lstrip()}"
