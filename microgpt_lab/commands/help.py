"""`python -m microgpt_lab help [WORD]` and `--help`: explain every command, part and key in a sentence."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from microgpt_lab import __version__, commands
from microgpt_lab.commands import COMMANDS, PROGRAM
from microgpt_lab.errors import UserError, nearest, suggest
from microgpt_lab.options.keys import (
    CHOSEN,
    OWNERS,
    defaults,
    format_default,
    is_default,
    names_of,
    option_descriptions,
    recipes,
)
from microgpt_lab.options.presets import DEFAULT, options_for, presets, read, summary
from microgpt_lab.registry.folders import home
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEY_OF

HEADER = f"""microgpt_lab {__version__} trains small GPTs from scratch.

  {PROGRAM} activation=gelu layers=2           train a model
  {PROGRAM} -m activation=relu,gelu seed=0,1   train one per combination: a sweep
  {PROGRAM} sample --prompt em                 sample from the newest run
"""
FLAGS = {
    "-m": "run a sweep: train a model for each combination of the values",
    "jobs=2": "with -m: run at most 2 jobs at a time (default: one per core)",
    "until=0.005": "with -m, over seeds: add seeds until every interval is ± 0.005 or narrower",
    "--dry": "show what would run, and how long it would take",
    "--cfg job": "print the whole configuration without training",
    "--version": "print the version",
}
FOOTER = 'Tab completion for the installed command: eval "$(microgpt-lab -sc install=bash)"'
NAME_WIDTH, MAX_WIDTH = 24, 110  # characters: of the column of names, of a line


def main(arguments: list[str]) -> int:
    """Explain the given commands, kinds, parts or keys.

    Without any, explain everything, with the options of the chosen parts.
    """
    words = [word for word in arguments if not word.startswith("-") and word != "train"]
    if words and words[0] in COMMANDS:
        return commands.main([words[0], "--help"])
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    names, overrides = [w for w in words if "=" not in w], [w for w in words if "=" in w]
    if names:
        print("\n".join(entry(*row, width) for name in names for row in explain(name)))
        for name in names:
            if name in KINDS:
                print(f"Their options: {PROGRAM} plugins {name}")
        return 0
    check_parts(overrides)
    print(HEADER)
    for heading, entries in sections(overrides):
        print(heading)
        for name, sentence in entries:
            print(entry(name, sentence, width))
        print()
    print(FOOTER)
    return 0


def explain(word: str) -> list[tuple[str, str]]:
    """List a key, all parts of a kind, or a part with its options, each with a sentence.

    An option that several parts share is listed once, below them. It may be given without its kind.
    UserError if the word is none of these.
    """
    if word == "experiment":
        return [("experiment=NAME", f"a recipe: {', '.join(recipes())}")]
    if word in ("jobs", "until"):
        return [(name, sentence) for name, sentence in FLAGS.items() if name.startswith(f"{word}=")]
    keys = {row[0].partition("=")[0]: row for owner in reversed(OWNERS.values()) for row in options(owner)}
    entries = [(f"model={name}", text) for name, text in models().items() if word in ("model", name)]
    entries += [keys[word]] if word in keys else []
    known = {*COMMANDS, *keys, *CHOSEN, *models()}
    given, word = word, word.replace("-", "_")
    option = KEY_OF.get(word, word)
    parts_with: dict[tuple[str, str], list[tuple[str, str]]] = {}  # by option
    for (kind, name), part in sorted(registry().choices.items()):
        rows = options(part.make, prefix=f"callback.{name}." if kind == "callback" else f"{kind}.")
        known |= {name, *(row[0].partition("=")[0] for row in rows)}
        shown = f"{kind}={name}{' (default)' * is_default(part)}", part.summary
        if word in (kind, name):
            entries += [shown, *(rows if word == name else ())]
        for row in rows:
            name_of_row = row[0].partition("=")[0]
            if option in (name_of_row, name_of_row.rpartition(".")[2]):
                parts_with.setdefault(row, []).append(shown)
    for row, parts in () if entries else parts_with.items():
        entries += [*parts, row]
    if not entries:
        near = nearest(word, known, KEY_OF)
        raise UserError(
            f"'{given}' is no command, part or key{suggest(word, known if near else COMMANDS, KEY_OF)}"
        )
    return entries


def models() -> dict[str, str]:
    """Return the presets of models by name, each with its sentence."""
    return {name: summary(path) for name, path in presets().items()}


def check_parts(overrides: list[str]) -> None:
    """Raise UserError for kind=name if there is neither a part nor a preset of that name."""
    for kind, _, names in (override.lstrip("+").partition("=") for override in overrides):
        for name in names.strip("[]").split(",") if kind in KINDS else ():
            if name and not (home() / "conf" / kind / f"{name}.yaml").is_file():
                registry().get(kind, name)
        if kind == "model" and names not in presets():
            raise UserError(f"model={names} is unknown{suggest(names, presets())}")


def sections(overrides: list[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each heading with its entries: a name and a sentence."""
    yield f"Commands ({PROGRAM} help COMMAND explains a command)", list(COMMANDS.items())
    yield "Flags, jobs=N and until=WIDTH", list(FLAGS.items())
    names = [(kind, ", ".join(names_of(kind))) for kind in KINDS]
    yield f"Parts: write kind=name ({PROGRAM} plugins explains each part)", names
    chosen = [(f"model={name}", text) for name, text in models().items()]
    yield "Presets of models, and recipes", [*chosen, ("experiment=NAME", ", ".join(recipes()))]
    seen: set[str] = set()
    values = read(chosen_model(overrides)).values
    for heading, owner in OWNERS.items():
        entries = options(owner, {name for name in options_of(owner) if name in seen}, values=values)
        yield f"Keys of {heading}: write key=value", entries
        seen |= options_of(owner).keys()
    yield "The chosen parts and their options: write kind.option=value", list(chosen_parts(overrides))


def chosen_model(overrides: list[str]) -> str:
    """Return the preset of the model that the overrides choose."""
    return next((o.removeprefix("model=") for o in overrides if o.startswith("model=")), DEFAULT)


def chosen_parts(overrides: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the parts that the overrides choose, or else the default ones, with their options.

    Their values are those that the preset of the model gives them.
    """
    chosen = {kind: value.strip("[]").split(",") for kind, _, value in (o.partition("=") for o in overrides)}
    model = chosen_model(overrides)
    of_model = {kind: [name] for kind, name in read(model).parts.items()}
    names_by_kind = {kind: names for kind, names in (defaults() | of_model | chosen).items() if kind in KINDS}
    values = options_for(model, {kind: names[0] for kind, names in names_by_kind.items()})
    for kind, names in names_by_kind.items():
        for name, part in ((name, registry().choices.get((kind, name))) for name in names):
            if part is None:  # a preset of the user
                continue
            prefix = f"callback.{name}." if kind == "callback" else f"{kind}."
            yield f"{kind}={name}", part.summary
            yield from options(part.make, prefix=prefix, values=values.get(kind, {}))


def options(
    owner: Callable[..., Any],
    left_out: Iterable[str] = (),
    prefix: str = "",
    values: Mapping[str, Any] | None = None,
) -> list[tuple[str, str]]:
    """List the options of a part or class, with their defaults and the sentences from its docstring.

    values: what a preset sets instead of the defaults.
    """
    sentences, values = option_descriptions(owner), values or {}
    return [
        (f"{prefix}{name}={format_default(values.get(name, option.default))}", sentences.get(name, ""))
        for name, option in options_of(owner).items()
        if name not in left_out
    ]


def entry(name: str, sentence: str, width: int) -> str:
    """Format a name with its sentence to the right, or below if the name is long."""
    indent = " " * (NAME_WIDTH + 3)
    text = textwrap.fill(sentence, width, initial_indent=indent, subsequent_indent=indent)
    if len(name) > NAME_WIDTH or not text:
        return f"  {name}\n{text}".rstrip()
    return f"  {name:<{NAME_WIDTH}} {text.lstrip()}"
