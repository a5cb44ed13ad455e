"""A row for each run below a folder: its configuration, its status and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.differences import differences, named, parts_of
from microgpt_lab.options.files import clean
from microgpt_lab.options.overrides import flattened, one, scalar
from microgpt_lab.run.folder import read, read_summary
from microgpt_lab.sweeps import find
from microgpt_lab.sweeps.table import is_number


@dataclass
class Row:
    """A run, safe to print but for the name of its folder. `begun`: when it was begun or resumed, in
    seconds since 1970.
    """

    folder: Path
    begun: float
    config: dict[str, Any]
    summary: dict[str, Any]

    @property
    def status(self) -> str:
        return self.summary["status"]

    @cached_property
    def values(self) -> dict[str, Any]:
        """What is configured, by key. Of a run that was refused, what was asked for."""
        if not self.config:
            return asked(self.folder)
        chosen = [part["name"] for part in parts_of("callback", self.config).values()]
        flat = {key: one(value) for key, value in flattened(self.config)}
        for name in [key for key in flat if key.startswith("callback.") and key.endswith(".name")]:
            del flat[name]
        return flat | {"callback": named("callback", chosen)} if "callback" in self.config else flat

    @cached_property
    def differs(self) -> dict[str, Any]:
        """What is not at its default; the callbacks, which change no number, last."""
        if not self.config:
            return self.values
        found = {key: one(value) for key, (value, _) in differences(self.config).items()}
        return dict(sorted(found.items(), key=lambda item: item[0].startswith("callback")))

    @cached_property
    def figures(self) -> dict[str, float]:
        """The numbers of summary.json: 'loss/val', 'guessing.bigram', …"""
        return {key: value for key, value in flattened(self.summary) if is_number(value)}


def rows(root: Path) -> Iterator[Row]:
    """The runs below a folder, and itself if it is one.

    Of a run that has ended, summary.json says all. One that has not, or that an earlier version made,
    costs a YAML file, which takes ten times as long to read.
    """
    for folder in find.folders(root):
        summary = read_summary(folder)
        config = summary.pop("config", None)
        if config is None:
            config, damage = configuration(folder)
            summary = damage or summary
        try:
            begun = find.begun(folder, "config.yaml") or folder.stat().st_mtime
        except OSError:  # it has been removed meanwhile
            continue
        yield Row(folder, begun, config, summary)


def configuration(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What config.yaml says, clean; and the summary of a damaged run if it cannot be read."""
    try:
        return clean(read(folder / "config.yaml") or {}), {}
    except FileNotFoundError:
        return {}, {}
    except UserError as error:
        return {}, {"status": "damaged", "error": clean(str(error))}


def asked(folder: Path) -> dict[str, Any]:
    """What overrides.yaml says, clean, by key."""
    try:
        overrides = clean(read(folder / "overrides.yaml") or [])
    except (FileNotFoundError, UserError):
        return {}
    said = (override.lstrip("+").partition("=") for override in overrides)
    return {key: one(scalar(value)) for key, _, value in said}
