"""Configurations as keys and values of the command line, and overrides as names and values."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options import untrusted
from microgpt_lab.options.files import clean
from microgpt_lab.registry.hookspecs import KINDS


def flatten(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield keys and values as they are set: ('optimizer', 'adam'), ('optimizer.lr', 0.01), …"""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield (prefix[:-1] if key == "name" and prefix[:-1] in KINDS else f"{prefix}{key}"), value


def differing_keys(then: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ in two configurations, with both values (None if missing)."""
    before, after = dict(flatten(then)), dict(flatten(now))
    pairs = {key: (before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])}
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}


def single_value(value: Any) -> Any:
    """Return a single value. A list becomes its JSON text. Control characters in strings are escaped."""
    return json.dumps(value) if isinstance(value, list) else clean(value)


@lru_cache(maxsize=1024)  # the runs of a sweep have the same few values
def parse_value(text: str) -> Any:
    """Return the value that the text of an override means, or the text if it is not a single value."""
    try:
        value = untrusted.load(text, "a value")
    except UserError:
        return text
    return value if isinstance(value, (int, float, bool, str)) or value is None else text


def key_of(override: str) -> str:
    """Return the key of an override: 'layers' of '+layers=2'."""
    return override.lstrip("+").partition("=")[0]


def run_name(overrides: list[str]) -> str:
    """Return the overrides as a name for a folder: at most 120 bytes, without special characters."""
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(o.lstrip("+") for o in overrides)).strip(".-")
    if len(name.encode()) <= 120:
        return name
    return f"{name.encode()[:110].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
