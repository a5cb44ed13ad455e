"""Read the runs below a folder: the configuration, status and results of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.listing import find
from microgpt_lab.options.differences import as_written, differences, parts_of
from microgpt_lab.options.files import clean
from microgpt_lab.options.older import current
from microgpt_lab.options.overrides import flatten, parse_value, single_value
from microgpt_lab.run.folder import read, read_summary
from microgpt_lab.sweeps.table import is_number


@dataclass
class Row:
    """A run in a list. All but the name of its folder is safe to print.

    `started` is the time when the run started or was last resumed, in seconds since 1970.
    """

    folder: Path
    started: float
    config: dict[str, Any]
    summary: dict[str, Any]

    @property
    def status(self) -> str:
        return self.summary["status"]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The configuration by key; for a refused run, its overrides."""
        if not self.config:
            return overrides_of(self.folder)
        chosen = [part["name"] for part in parts_of("callback", self.config).values()]
        flat = {key: single_value(value) for key, value in flatten(self.config)}
        for name in [key for key in flat if key.startswith("callback.") and key.endswith(".name")]:
            del flat[name]
        return flat | {"callback": as_written("callback", chosen)} if "callback" in self.config else flat

    @cached_property
    def changed(self) -> dict[str, Any]:
        """The keys that are not at their defaults. Callbacks, which do not change the results, are last."""
        if not self.config:
            return self.values
        changed = {key: single_value(value) for key, (value, _) in differences(self.config).items()}
        return dict(sorted(changed.items(), key=lambda item: item[0].startswith("callback")))

    @cached_property
    def figures(self) -> dict[str, float]:
        """The numbers in summary.json: 'loss/val', 'guessing.bigram', …"""
        return {key: value for key, value in flatten(self.summary) if is_number(value)}


def rows(root: Path) -> Iterator[Row]:
    """Yield the runs below a folder, and the folder itself if it is a run.

    For a finished run, it is enough to read summary.json. For an unfinished run, or one of an earlier
    version, config.yaml is read too, which takes ten times as long.
    """
    for folder in find.all_runs(root):
        summary = read_summary(folder)
        config = summary.pop("config", None)
        if config is None:
            config, damage = configuration(folder)
            summary = damage or summary
        try:
            started = find.start_time(folder, "config.yaml") or folder.stat().st_mtime
        except OSError:  # the run was removed in the meantime
            continue
        yield Row(folder, started, current(config), summary)


def configuration(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the cleaned config.yaml, and a summary with the error if the file cannot be read."""
    try:
        return clean(read(folder / "config.yaml") or {}), {}
    except FileNotFoundError:
        return {}, {}
    except UserError as error:
        return {}, {"status": "damaged", "error": clean(str(error))}


def overrides_of(folder: Path) -> dict[str, Any]:
    """Return the cleaned overrides in overrides.yaml, by key."""
    try:
        overrides = clean(read(folder / "overrides.yaml") or [])
    except (FileNotFoundError, UserError):
        return {}
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: single_value(parse_value(value)) for key, _, value in pairs}
