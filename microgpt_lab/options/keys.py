"""Keys of the command line and their descriptions. This module does not import Hydra, which is slow."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from microgpt_lab.core.data import Corpus
from microgpt_lab.core.model import GPT
from microgpt_lab.core.start import start_from
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import printable
from microgpt_lab.options.budget import Budget
from microgpt_lab.options.presets import presets
from microgpt_lab.registry.folders import CONF, EXPERIMENTS, home
from microgpt_lab.registry.hookspecs import KINDS, MODEL_KINDS
from microgpt_lab.registry.parts import Option, Part, options_of
from microgpt_lab.registry.plugins import registry

# The keyword-only parameters of these are the top-level keys. If two share a key, the first describes it.
OWNERS = {
    "the model": GPT,
    "its size": Budget,
    "the data": Corpus,
    "the training": Trainer,
    "the start": start_from,
    "the samples at the end": Trainer.sample,
}
CHOSEN = (*KINDS, "model", "experiment")  # keys whose values are names: of parts, presets, recipes
LINE = re.compile(r"(\s*)(\w+(?:, \w+)*): +(\S.*)")


def run_options() -> dict[str, Option]:
    """Return the top-level keys: the options of the model, the corpus, the trainer and the final samples."""
    return {name: option for owner in OWNERS.values() for name, option in options_of(owner).items()}


def shared_keys(part: Part) -> set[str]:
    """Return the options of a part that default to the top-level keys of the same name, if there are such.

    Parts of the model have none: their `dropout` or `bias` is another one than that of the run.
    """
    return set() if part.kind in MODEL_KINDS else set(part.options)


def option_descriptions(make: Callable[..., Any]) -> dict[str, str]:
    """Return the descriptions of options in the docstring of a function, or of a class and its base classes.

    A line `name: sentence` describes one option, a line `first, second: sentence` describes two. Lines with
    a larger indent continue the sentence. A heading such as `Args:` may stand above.
    """
    options, descriptions = options_of(make), {}
    for owner in reversed(inspect.getmro(make)) if inspect.isclass(make) else (make,):
        descriptions |= described(options, inspect.cleandoc(owner.__doc__ or ""))
    return {name: printable(sentence) for name, sentence in descriptions.items()}


def described(options: Mapping[str, Option], docstring: str) -> dict[str, str]:
    """Return the descriptions of options in a docstring."""
    descriptions: dict[str, str] = {}
    names, indent = [], 0
    for line in docstring.splitlines():
        match = LINE.fullmatch(line)
        if match and options.keys() >= set(match[2].split(", ")):
            names, indent = match[2].split(", "), len(match[1])
            descriptions |= dict.fromkeys(names, match[3])
        elif names and line.strip() and len(line) - len(line.lstrip()) > indent:
            descriptions |= {name: f"{descriptions[name]} {line.strip()}" for name in names}
        else:
            names = []
    return descriptions


def format_value(value: Any) -> str:
    """Return a value as it is written on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def format_default(value: Any) -> str:
    """Return a default as a list of options shows it: a long fraction has four digits."""
    short = isinstance(value, float) and len(str(value)) > 8
    return f"{value:.4g}" if short else printable(format_value(value))


@functools.cache
def defaults() -> dict[str, list[str]]:
    """Return the names of the default parts by kind."""
    listed = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    chosen = {kind: part for entry in listed if isinstance(entry, dict) for kind, part in entry.items()}
    return {kind: part if isinstance(part, list) else [part] for kind, part in chosen.items()}


def is_default(part: Part) -> bool:
    """Return whether a run has this part if nothing else is chosen."""
    return part.name in defaults().get(part.kind, ())


def turned_on_by() -> dict[str, list[str]]:
    """Return the keys that callbacks turn on (unless the user sets them), with the names of the callbacks."""
    callbacks: dict[str, list[str]] = {}
    for part in registry().parts.values():
        for key in getattr(part.make, "turns_on", ()):
            callbacks.setdefault(key, []).append(part.name)
    return callbacks


def recipes() -> dict[str, Path]:
    """Return the folders of all recipes by name. Of two with the same name, Hydra reads the lab's."""
    folders = (home() / "experiments", EXPERIMENTS)
    files = [file for folder in folders for file in folder.glob("*/recipe.yaml") if file.is_file()]
    return dict(sorted({file.parent.name: file.parent for file in files}.items()))


def names_of(key: str) -> list[str]:
    """Return the names that a key in CHOSEN takes: of parts, presets or recipes."""
    others = {"model": presets, "experiment": recipes}
    if key in others:
        return list(others[key]())
    return sorted(name for kind, name in registry().choices if kind == key)
