"""Find out whether a command is a run or a sweep without composing its configuration twice."""

from __future__ import annotations

from typing import Any

from hydra._internal.hydra import Hydra

from microgpt_lab.registry.folders import home

composed_mode = Hydra.get_mode


def mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
    """Return `hydra.mode`. None if nothing sets it, so that -m decides.

    Hydra composes the whole configuration to read it, a third of the time of a short run. But only an
    override, a recipe or a file of the user's own can set it.
    """
    keys = [override.lstrip("+~").partition("=")[0].partition("@")[0] for override in overrides]
    if not (home() / "conf").is_dir() and not any(map(can_set_mode, keys)):
        return None
    return composed_mode(self, config_name, overrides)


def can_set_mode(key: str) -> bool:
    return key in ("experiment", "hydra", "hydra.mode") or key.startswith("hydra/")


def compose_once() -> None:
    """Let Hydra ask `mode`."""
    Hydra.get_mode = mode
