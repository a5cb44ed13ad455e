"""Keys of the command line and their descriptions. Does not import Hydra, which is slow."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from microgpt_lab.core.data import Corpus
from microgpt_lab.core.model import GPT
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.folders import CONF, EXPERIMENTS, home
from microgpt_lab.registry.parts import Option, options_of
from microgpt_lab.registry.plugins import registry

# Their keyword-only parameters are the top-level keys. Where two owners share a key, the first describes it.
OWNERS = {
    "the model": GPT,
    "the data": Corpus,
    "the training": Trainer,
    "the samples at the end": Trainer.sample,
}
LINE = re.compile(r"(\s*)(\w+(?:, \w+)*): +(\S.*)")


def run_options() -> dict[str, Option]:
    """The top-level keys: options of the model, the corpus, the trainer and of sampling."""
    return {name: option for owner in OWNERS.values() for name, option in options_of(owner).items()}


def option_descriptions(make: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a function or a class says of its options.

    A line `name: sentence` describes an option, `one, other: sentence` two; lines that are indented
    more than it go on with it. A heading such as `Args:` may stand above.
    """
    found: dict[str, str] = {}
    options, names, indent = options_of(make), [], 0
    for line in (inspect.getdoc(make) or "").splitlines():
        match = LINE.fullmatch(line)
        if match and options.keys() >= set(match[2].split(", ")):
            names, indent = match[2].split(", "), len(match[1])
            found |= dict.fromkeys(names, match[3])
        elif names and line.strip() and len(line) - len(line.lstrip()) > indent:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def format_value(value: Any) -> str:
    """A value as one would write it on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def defaults() -> dict[str, list[str]]:
    """The parts that a run has unless others are chosen, by kind."""
    listed = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    chosen = {kind: part for entry in listed if isinstance(entry, dict) for kind, part in entry.items()}
    return {kind: part if isinstance(part, list) else [part] for kind, part in chosen.items()}


def turned_on() -> dict[str, list[str]]:
    """The keys that callbacks turn on where they are chosen and the key is not set, with their names."""
    found: dict[str, list[str]] = {}
    for part in registry().parts.values():
        for key in getattr(part.make, "turns_on", ()):
            found.setdefault(key, []).append(part.name)
    return found


def experiments() -> dict[str, Path]:
    """The folders of all recipes, by name; of two with one name, that which Hydra takes."""
    folders = (home() / "experiments", EXPERIMENTS)
    files = [file for folder in folders for file in folder.glob("*/recipe.yaml") if file.is_file()]
    return dict(sorted((file.parent.name, file.parent) for file in files))
