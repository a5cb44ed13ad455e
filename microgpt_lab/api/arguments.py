"""Arguments of Python functions as those of the command line.

>>> as_arguments(("activation=gelu",), {"steps": 200, "final_norm": True})
['activation=gelu', 'steps=200', 'final_norm=true']
>>> as_arguments((), {"norm": ["rmsnorm", "layernorm"], "seed": range(5)}, several=True)
['norm=rmsnorm,layernorm', 'seed=range(0,5,1)']
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.keys import CHOSEN, format_value, run_options

LISTS = ("callback", "watch")  # keys whose value is a list, also in a single run


def as_arguments(
    overrides: Iterable[str], settings: Mapping[str, Any], *, several: bool = False
) -> list[str]:
    """Return overrides, and settings as overrides, in this order. UserError for what cannot be one.

    several: whether the value of a setting may be a list of values, one for each job of a sweep.
    """
    arguments = []
    for override in overrides:
        if not isinstance(override, str):
            raise UserError(f"{override!r:.60} is no override: write 'key=value', or key=value")
        if override.startswith("-"):
            raise UserError(f"{override} is a flag of the command line: write 'key=value', or key=value")
        arguments.append(override)
    return [*arguments, *(setting(key, value, several) for key, value in settings.items())]


def setting(key: str, value: Any, several: bool) -> str:
    """Return a keyword argument as an override."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value  # of NumPy
    if isinstance(value, Mapping):
        raise UserError(f"{key} is a dictionary: write '{key}=NAME', and its options as '{key}.OPTION=VALUE'")
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        return f"{key}={text(key, value)}"
    if key in LISTS:
        return f"{key}=[{','.join(map(str, value))}]"
    if not several:
        raise UserError(f"{key} has several values: write one, or call sweep, which trains each")
    if isinstance(value, range):
        values = [f"range({value.start},{value.stop},{value.step})"] if value else []
    else:
        values = [text(key, each) for each in value]
    if not values:
        raise UserError(f"{key} has no values")
    return f"{key}={','.join(values)}"


def text(key: str, value: Any) -> str:
    """Return a value as the command line has it.

    Texts and paths are quoted, but not names and numbers, which may be sweeps, such as "glob(*)".
    """
    value = value.item() if hasattr(value, "item") else value  # of NumPy
    if not isinstance(value, str | os.PathLike):
        return format_value(value)
    option = run_options().get(key)
    is_text = option and option.type is str and not option.choices and key not in CHOSEN
    return quoted(os.fspath(value)) if is_text or not isinstance(value, str) else value


def quoted(value: str) -> str:
    """Return a text in quotes, in which Hydra reads no commas and equals signs."""
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def folder_setting(key: str, folder: str | os.PathLike[str] | None) -> list[str]:
    """Return the override that names the folder of a run or sweep; none for None."""
    if folder is not None and not os.fspath(folder):
        raise UserError("folder is empty: name one, or leave it out")
    return [] if folder is None else [f"{key}={quoted(os.fspath(folder))}"]
