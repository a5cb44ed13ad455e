"""Changes of a sweep: sets of overrides that are compared with each other, such as those of an ablation.

A grid varies each key by itself. `hydra.sweeper.changes` is a list of settings that differ in different
keys: each is a text of overrides, separated by spaces, or `none`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.overrides import key_of
from microgpt_lab.run.folder import read

if TYPE_CHECKING:
    from microgpt_lab.options.composer import Composer

CHANGE = "change"  # the column of tables and reports that names the change
NO_CHANGE = "none"
EXAMPLE = '[none,"mlp=glu activation=silu"]'


def with_changes(jobs: Sequence[Sequence[str]], changes: Any) -> list[list[str]]:
    """Return each job with each of the changes. UserError if they are no list of texts that set other keys.

    changes: as the configuration has them; None or empty for no changes.
    """
    if not changes:
        return [list(job) for job in jobs]
    is_list = isinstance(changes, Sequence) and not isinstance(changes, str)
    if not is_list or not all(isinstance(change, str) and change.strip() for change in changes):
        raise UserError(f"hydra.sweeper.changes={changes}: write a list of quoted texts, such as {EXAMPLE}")
    in_grid = {key_of(override) for job in jobs for override in job}
    for overrides in split(changes).values():
        check(overrides, in_grid)
    return [[*change, *job] for change in split(changes).values() for job in jobs]


def check(overrides: Sequence[str], in_grid: Set[str]) -> None:
    """Raise UserError for overrides of a change that cannot be, or that set a key of the grid."""
    from microgpt_lab.options import config, mistakes  # they import Hydra, which a report does not need

    for override in overrides:
        if "=" not in override:
            raise UserError(f"hydra.sweeper.changes: write '{override}' as key=value")
        if key_of(override).startswith("hydra"):
            raise UserError(f"hydra.sweeper.changes: {override} cannot differ between jobs")
        if key_of(override) in in_grid:
            raise UserError(f"hydra.sweeper.changes: {override} sets a key that the sweep sets too")
        if mistakes.has_several_values(override):
            raise UserError(f"hydra.sweeper.changes: {override} has several values: write a change for each")
    mistakes.check_twice(overrides)
    config.check(list(overrides))


def check_distinct(changes: Sequence[str], jobs: Sequence[Sequence[str]], composer: Composer) -> None:
    """Raise UserError if two changes make the same setting, because one of them would have no runs.

    jobs: those of the grid, without changes. Settings that differ for some of them are distinct.
    """
    first_jobs = {composer.split(job)[0]: job for job in jobs}.values()  # of each choice of parts
    found: dict[tuple[str, ...], str] = {}
    for change, overrides in split(changes).items():
        configs = (composer.compose([*overrides, *job], 0)[0] for job in first_jobs)
        setting = tuple(json.dumps(config, sort_keys=True) for config in configs)
        if (other := found.setdefault(setting, change)) != change:
            raise UserError(
                f"hydra.sweeper.changes: '{other}' and '{change}' are the same setting: leave one out"
            )


def split(changes: Sequence[str]) -> dict[str, list[str]]:
    """Return the overrides of each change."""
    overrides: dict[str, list[str]] = {}
    for change in changes:
        try:
            overrides[change] = [] if change == NO_CHANGE else shlex.split(change)
        except ValueError as error:
            raise UserError(f"hydra.sweeper.changes: {change}: {error}") from None
    return overrides


def read_changes(sweep: Path) -> dict[str, list[str]]:
    """Return the changes of a sweep, from the multirun.yaml in its folder; empty if it has none."""
    try:
        content: Any = read(sweep / "multirun.yaml")
    except (FileNotFoundError, UserError):
        return {}
    for key in ("hydra", "sweeper", "changes"):
        content = content.get(key) if isinstance(content, dict) else None
    return split([str(change) for change in content]) if isinstance(content, list) else {}


def change_of(overrides: Sequence[str], changes: dict[str, list[str]]) -> str:
    """Return the change with the most overrides among those of a run."""
    made = [change for change, needed in changes.items() if set(needed) <= set(overrides)]
    return max(made, key=lambda change: len(changes[change]), default=NO_CHANGE)
