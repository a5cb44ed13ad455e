"""List the keys of a configuration that differ from their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microgpt_lab.options import presets
from microgpt_lab.options.keys import defaults, run_options, shared_keys, turned_on_by
from microgpt_lab.options.presets import Preset
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry


def differences(config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys that differ from their defaults, each with its value and its default. Parts come first.

    What the preset of the model sets is a default; another preset than the default one is listed itself.
    An option of a part is compared with the default of that part, even if the part itself is not the default.
    The configuration may come from another version, or name parts that are not installed. A key without a
    default is compared with None.
    """
    name = str(config.get("model", presets.DEFAULT))
    preset = presets.read(name)
    parts = {kind: parts_of(kind, config) for kind in KINDS if kind in config}
    model = ("model", name, presets.DEFAULT)
    compared = (model, *choices(parts, preset), *options(parts, config, preset), *top_level(config, preset))
    return {key: (value, default) for key, value, default in compared if value != default}


def parts_of(kind: str, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the chosen parts of a kind, by the key of their options."""
    chosen = config.get(kind)
    if kind == "callback" and isinstance(chosen, dict):
        parts = {f"callback.{name}": part for name, part in chosen.items()}
    else:
        parts = {kind: chosen}
    return {
        key: part
        for key, part in parts.items()
        if isinstance(part, dict) and isinstance(part.get("name"), str)
    }


def as_written(kind: str, names: list[str]) -> str:
    """Return the names of chosen parts as they are written on the command line."""
    return f"[{','.join(names)}]" if kind == "callback" else names[0]


def choices(parts: dict[str, dict[str, dict[str, Any]]], preset: Preset) -> Iterator[tuple[str, str, str]]:
    """Yield for each kind the chosen parts and the default ones."""
    default_parts = defaults() | {kind: [name] for kind, name in preset.parts.items()}
    for kind, chosen in parts.items():
        names = [part["name"] for part in chosen.values()]
        if names or kind == "callback":
            yield kind, as_written(kind, names), as_written(kind, default_parts[kind])


def options(
    parts: dict[str, dict[str, dict[str, Any]]], config: dict[str, Any], preset: Preset
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the key, value and default of each option of the chosen parts."""
    turned_on, callbacks = turned_on_by(), config.get("callback") or ()
    for kind, chosen in parts.items():
        for key, part in chosen.items():
            installed = registry().parts.get((kind, part["name"]))
            known, shared = (installed.options, shared_keys(installed)) if installed else ({}, ())
            of_preset = preset.options.get(kind, {})
            for name, value in part.items():
                if name in known:
                    default = config.get(name, known[name].default) if name in shared else known[name].default
                    is_on = any(callback in callbacks for callback in turned_on.get(f"{key}.{name}", ()))
                    yield f"{key}.{name}", value, True if is_on else of_preset.get(name, default)
                elif name != "name":
                    yield f"{key}.{name}", value, None


def top_level(config: dict[str, Any], preset: Preset) -> Iterator[tuple[str, Any, Any]]:
    """Yield the key, value and default of each top-level key."""
    known = {key: option.default for key, option in run_options().items()} | preset.values
    for key, value in config.items():
        if key not in (*KINDS, "model"):
            yield key, value, known.get(key)
