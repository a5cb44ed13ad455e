"""Configurations and checkpoints of older runs, with the keys of this version."""

from __future__ import annotations

from typing import Any

from microgpt_lab.options.keys import defaults, run_options
from microgpt_lab.options.presets import DEFAULT
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.plugins import registry

PRECISION = ("numpy", "jax")  # backends whose option `precision` was called dtype
# Keys that are now options of a part.
MOVED = {
    "init_std": ("init", "std"),
    "zero_init": ("init", "zero"),
    "temperature": ("sampler", "temperature"),
}
# Keys that older configurations lack, with the value that all runs had.
NEW = {"accumulate": 1, "match": "none", "match_free": "mlp.ratio", "match_reference": ""}
ADDED = (*MODEL_KINDS, "tokenizer", "sampler")  # kinds that older configurations lack
CHECKPOINT = (
    "was made by an older version of microgpt_lab, whose weights have other names: train again, or use that "
    "version"
)


def is_older(config: dict[str, Any]) -> bool:
    """Return whether a configuration has keys of an older version."""
    return any(key in config and kind not in config for key, (kind, _) in MOVED.items())


def has_older_weights(config: dict[str, Any]) -> bool:
    """Return whether a run is of a version whose weights have other names."""
    return is_older(config) and "init" not in config


def has_dtype(config: dict[str, Any]) -> bool:
    """Return whether the option `precision` of a backend has its older name."""
    backend = config.get("backend")
    return isinstance(backend, dict) and backend.get("name") in PRECISION and "dtype" in backend


def current(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the keys of this version. What did not exist then is at its default."""
    if has_dtype(config):
        backend = {"precision" if key == "dtype" else key: x for key, x in config["backend"].items()}
        config = config | {"backend": backend}
    if not is_older(config):
        # Keys that are there keep their place: a resumed run writes its configuration as it was.
        return config | {key: x for key, x in NEW.items() if key not in config} if config else config
    parts = {kind: part_with_defaults(kind) for kind in ADDED if kind not in config}
    for key, (kind, option) in MOVED.items():
        if key in config and kind in parts:
            parts[kind][option] = config[key]
    keys = {name: option.default for name, option in run_options().items()}
    kept = {key: value for key, value in config.items() if key not in MOVED}
    return {"model": DEFAULT} | keys | kept | parts


def part_with_defaults(kind: str, name: str = "") -> dict[str, Any]:
    """Return a part (the default one without a name) with its options at their defaults, as composed."""
    part = registry().get(kind, name or defaults()[kind][0])
    return {"name": part.name} | {key: option.default for key, option in part.options.items()}


def current_overrides(overrides: list[str], config: dict[str, Any]) -> list[str]:
    """Return the overrides of a run with the keys of this version. `config` is as stored."""
    keys = {key: ".".join(moved) for key, moved in MOVED.items()}
    keys |= {"backend.dtype": "backend.precision"} if has_dtype(config) else {}
    pairs = (override.partition("=") for override in overrides)
    return [f"{keys.get(key, key)}{equals}{value}" for key, equals, value in pairs]


def current_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint contains beside its numbers, as in this version, if its weights are too."""
    chars, config = facts.get("chars"), facts.get("config")
    if not isinstance(config, dict) or has_older_weights(config):
        return facts
    facts = facts | {"config": current(config)}
    if not isinstance(chars, list):
        return facts
    return facts | {"tokenizer": {"tokens": chars}, "start": [len(chars)]}
