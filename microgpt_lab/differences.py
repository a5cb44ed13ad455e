"""List the keys of a configuration that differ from their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microgpt_lab.options import defaults, run_options, turned_on
from microgpt_lab.plugins import KINDS, registry


def differences(config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys that are not at their defaults, with their value and the default: parts first.

    An option of a part is compared with that part's own default, whichever part is the default.
    """
    usual = defaults()
    choices = ((kind, named(kind, names_of(kind, config)), named(kind, usual[kind])) for kind in KINDS)
    top = ((name, config[name], option.default) for name, option in run_options().items())
    compared = (*choices, *options(config), *top)
    return {key: (value, default) for key, value, default in compared if value != default}


def parts_of(kind: str, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The chosen parts of a kind, by the key that their options stand below."""
    if kind == "callback":
        return {f"callback.{name}": part for name, part in config[kind].items()}
    return {kind: config[kind]}


def names_of(kind: str, config: dict[str, Any]) -> list[str]:
    return [part["name"] for part in parts_of(kind, config).values()]


def named(kind: str, names: list[str]) -> str:
    """The choice as one would write it."""
    return f"[{','.join(names)}]" if kind == "callback" else names[0]


def options(config: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each option of a chosen part: its key, its value, its default."""
    on = turned_on()
    for kind in KINDS:
        for key, part in parts_of(kind, config).items():
            for name, option in registry().get(kind, part["name"]).options.items():
                # An option that has the name of one of the run's takes the run's value.
                default = config.get(name, option.default)
                if any(callback in config["callback"] for callback in on.get(f"{key}.{name}", ())):
                    default = True
                yield f"{key}.{name}", part[name], default
