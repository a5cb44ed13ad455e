"""A configuration as the keys and values that one would write on the command line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options import untrusted
from microgpt_lab.options.files import clean
from microgpt_lab.registry.hookspecs import KINDS


def flatten(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """('optimizer', 'adam'), ('optimizer.lr', 0.01), …: as one would set them."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield (prefix[:-1] if key == "name" and prefix[:-1] in KINDS else f"{prefix}{key}"), value


def differing_keys(then: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys of which two configurations or environments have different values; None where one has none."""
    before, after = dict(flatten(then)), dict(flatten(now))
    pairs = {key: (before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])}
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}


def single_value(value: Any) -> Any:
    """A single value; a list as its text. What was quoted in an override can still hold any character."""
    return json.dumps(value) if isinstance(value, list) else clean(value)


def parse_value(text: str) -> Any:
    """The value that an override gives, or its text if that is no single value."""
    try:
        value = untrusted.load(text, "a value")
    except UserError:
        return text
    return value if isinstance(value, (int, float, bool, str)) or value is None else text


def run_name(overrides: list[str]) -> str:
    """The overrides as part of a folder's name: without what file systems dislike, and not too long."""
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(o.lstrip("+") for o in overrides)).strip(".-")
    if len(name.encode()) <= 120:
        return name
    return f"{name.encode()[:110].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
