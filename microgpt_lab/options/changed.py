"""Change parts and keys of a finished run's configuration that do not change what its model computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.registry.hookspecs import KINDS


def check_keys(overrides: Sequence[str], keys: Sequence[str]) -> None:
    """Raise UserError for an override of anything but these parts and keys, or one that is set twice."""
    if not overrides:
        return
    from microgpt_lab.options.mistakes import check_twice, full_key

    check_twice(overrides)
    for key, _, value in (override.partition("=") for override in overrides):
        if key.partition(".")[0] not in keys:
            meant = full_key(key) or ""
            named = [f"{each}=NAME and its options" if each in KINDS else each for each in keys]
            which = f"only {', '.join(named)} can be chosen"
            hint = f"write {meant}={value}" if meant.partition(".")[0] in keys else which
            raise UserError(f"'{key}' has no meaning here: {hint}")


def changed(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a run's configuration with these overrides. A part that is not chosen anew keeps its options."""
    if not overrides:
        return config
    from microgpt_lab.options.compose import compose

    given = {override.partition("=")[0] for override in overrides}
    changed_keys = {key.partition(".")[0] for key in given}
    kept = {key for key in changed_keys if key in KINDS and key not in given}
    composed = compose([*(f"{kind}={config[kind]['name']}" for kind in sorted(kept)), *overrides])
    result = config | {key: composed[key] for key in changed_keys}
    for kind in kept:
        result[kind] |= {name: x for name, x in config[kind].items() if f"{kind}.{name}" not in given}
    return result
