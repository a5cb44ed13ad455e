"""List the keys of a configuration that differ from their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microgpt_lab.options.keys import defaults, run_options, turned_on
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry


def differences(config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys that are not at their defaults, with their value and the default: parts first.

    An option of a part is compared with that part's own default, whichever part is the default. The
    configuration may come from another version, or name parts that are not installed here: a key
    without a default is compared with None.
    """
    parts = {kind: parts_of(kind, config) for kind in KINDS if kind in config}
    compared = (*choices(parts), *options(parts, config), *top_level(config))
    return {key: (value, default) for key, value, default in compared if value != default}


def parts_of(kind: str, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The chosen parts of a kind, by the key that their options stand below."""
    chosen = config.get(kind)
    if kind == "callback" and isinstance(chosen, dict):
        found = {f"callback.{name}": part for name, part in chosen.items()}
    else:
        found = {kind: chosen}
    return {
        key: part
        for key, part in found.items()
        if isinstance(part, dict) and isinstance(part.get("name"), str)
    }


def named(kind: str, names: list[str]) -> str:
    """The choice as one would write it."""
    return f"[{','.join(names)}]" if kind == "callback" else names[0]


def choices(parts: dict[str, dict[str, dict[str, Any]]]) -> Iterator[tuple[str, str, str]]:
    """The chosen parts of each kind, and those that are chosen by default."""
    usual = defaults()
    for kind, chosen in parts.items():
        names = [part["name"] for part in chosen.values()]
        if names or kind == "callback":
            yield kind, named(kind, names), named(kind, usual[kind])


def options(
    parts: dict[str, dict[str, dict[str, Any]]], config: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Each option of a chosen part: its key, its value, its default."""
    on, callbacks = turned_on(), config.get("callback") or ()
    for kind, chosen in parts.items():
        for key, part in chosen.items():
            installed = registry().parts.get((kind, part["name"]))
            known = installed.options if installed else {}
            for name, value in part.items():
                if name in known:
                    # An option that has the name of one of the run's takes the run's value.
                    default = config.get(name, known[name].default)
                    turned = any(callback in callbacks for callback in on.get(f"{key}.{name}", ()))
                    yield f"{key}.{name}", value, True if turned else default
                elif name != "name":
                    yield f"{key}.{name}", value, None


def top_level(config: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each option of the run: its key, its value, its default."""
    known = run_options()
    for key, value in config.items():
        if key not in KINDS:
            yield key, value, known[key].default if key in known else None
