"""Presets of models: `model=NAME` is the file conf/model/NAME.yaml of the lab or of the user's lab folder."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options import files, untrusted
from microgpt_lab.registry.folders import CONF, home
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.plugins import registry

DEFAULT = "microgpt"


class Preset(NamedTuple):
    """What a preset sets.

    parts: the chosen parts, by kind.
    options: options of parts of the model, by kind. They hold for any part of the kind that has them.
    values: all other keys.
    """

    parts: dict[str, str]
    options: dict[str, dict[str, Any]]
    values: dict[str, Any]


def presets() -> dict[str, Path]:
    """Return the files of all presets by name. Of two with the same name, the lab's counts."""
    folders = (home() / "conf" / "model", CONF / "model")
    found = {path.stem: path for folder in folders for path in folder.glob("*.yaml") if path.is_file()}
    return dict(sorted(found.items()))


def summary(path: Path) -> str:
    """Return the first comment of a preset that is not Hydra's package."""
    comments = (line.lstrip("# ") for line in files.read_text(path).splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@package")), "")


def read(name: str, readers: tuple[Path, ...] = ()) -> Preset:
    """Read a preset, together with the presets that its defaults name. An unknown one sets nothing.

    readers: the presets whose defaults led here.
    """
    path = presets().get(name)
    if path in readers:
        raise UserError(f"{path}: its defaults lead back to it")
    return parse(files.read_text(path), path, readers) if path else Preset({}, {}, {})


@functools.lru_cache(64)
def parse(text: str, path: Path, readers: tuple[Path, ...] = ()) -> Preset:
    """Read a preset from its text. UserError if it is no preset, or for an option that no part has."""
    values = untrusted.check(text, path) or {}
    if not isinstance(values, dict):
        raise UserError(f"{path} must have keys and values, such as 'final_norm: true'")
    values = dict(values)
    listed = values.pop("defaults", None) or []
    if not isinstance(listed, list):
        raise UserError(f"{path}: its defaults must be a list, such as '- override /norm: layernorm'")
    own: dict[str, dict[str, Any]] = {
        kind: values.pop(kind) for kind in MODEL_KINDS if isinstance(values.get(kind), dict)
    }
    for kind, options in own.items():
        known = {name for part in registry().parts.values() if part.kind == kind for name in part.options}
        for name in options:
            if name not in known:
                raise UserError(f"{path}: '{kind}.{name}' is no option of a part{suggest(str(name), known)}")
    parts, base = {}, Preset({}, {}, {})
    for entry in listed:
        if isinstance(entry, str) and entry != "_self_":
            base = merged(base, read(entry, (*readers, path)))
        for key, part in entry.items() if isinstance(entry, dict) else ():
            parts[str(key).rpartition("/")[2]] = part
    return merged(base, Preset(parts, own, values))


def merged(first: Preset, second: Preset) -> Preset:
    """Return what both presets set. Where they differ, the second counts."""
    kinds = {**first.options, **second.options}
    options = {kind: first.options.get(kind, {}) | second.options.get(kind, {}) for kind in kinds}
    return Preset(first.parts | second.parts, options, first.values | second.values)


def options_for(name: str, chosen: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the options that a preset sets for the chosen parts, by kind: those that the parts have."""
    options = read(name).options
    parts = {kind: registry().parts.get((kind, chosen.get(kind, ""))) for kind in options}
    return {
        kind: {key: value for key, value in options[kind].items() if key in part.options}
        for kind, part in parts.items()
        if part
    }
