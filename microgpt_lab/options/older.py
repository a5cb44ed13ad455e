"""Configurations of older runs, from before the parts of the model other than activation and norm."""

from __future__ import annotations

from typing import Any

from microgpt_lab.core.model import GPT
from microgpt_lab.options.keys import defaults
from microgpt_lab.options.presets import DEFAULT
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry

MOVED = {"init_std": "std", "zero_init": "zero"}  # now options of `init`
CHECKPOINT = (
    "was made by an older version of microgpt_lab, whose weights have other names: train again, or use that "
    "version"
)


def is_older(config: dict[str, Any]) -> bool:
    """Return whether a configuration has keys of an older version."""
    return "init" not in config and not MOVED.keys().isdisjoint(config)


def current(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the keys of this version. What did not exist then is at its default."""
    if not is_older(config):
        return config
    parts = {kind: part_with_defaults(kind) for kind in MODEL_KINDS if kind not in config}
    parts["init"] |= {option: config[key] for key, option in MOVED.items() if key in config}
    keys = {name: option.default for name, option in options_of(GPT).items()}
    return (
        {"model": DEFAULT} | keys | {key: value for key, value in config.items() if key not in MOVED} | parts
    )


def part_with_defaults(kind: str) -> dict[str, Any]:
    """Return the default part of a kind with the defaults of its options, as in a configuration."""
    (name,) = defaults()[kind]
    options = registry().get(kind, name).options
    return {"name": name} | {key: option.default for key, option in options.items()}


def current_override(override: str) -> str:
    """Return an override with the key of this version."""
    key, equals, value = override.partition("=")
    return f"init.{MOVED[key]}{equals}{value}" if key in MOVED else override
