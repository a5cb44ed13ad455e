"""The rounds of a sweep with `tune` or `until`: rounds.json in its folder, which `report` reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from microgpt_lab.run.folder import read_json

ROUNDS_FILE = "rounds.json"
FIRST_LOOK = 5  # seeds; each further look has twice as many


@dataclass(frozen=True)
class Rounds:
    """How a sweep chose values and seeds.

    tune: the keys whose best values were chosen, on the runs with `tuning_seeds`.
    chosen: for each setting the overrides with which it is compared on the other seeds; empty while the
        sweep is tuning.
    until: the half-width of the widest interval at which the sweep stops; 0 if it runs all seeds.
    looks: the numbers of seeds at which it can stop.
    """

    tune: list[str] = field(default_factory=list)
    tuning_seeds: list[int] = field(default_factory=list)
    chosen: list[list[str]] = field(default_factory=list)
    until: float = 0.0
    looks: list[int] = field(default_factory=list)

    def write(self, sweep: Path) -> None:
        (sweep / ROUNDS_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_rounds(sweep: Path) -> Rounds:
    """Read rounds.json. Return one without rounds if it is missing or damaged."""
    content = read_json(sweep / ROUNDS_FILE)
    try:
        return Rounds(
            [str(key) for key in content.get("tune", ())],
            [int(seed) for seed in content.get("tuning_seeds", ())],
            [[str(override) for override in job] for job in content.get("chosen", ())],
            float(content.get("until", 0.0)),
            [int(look) for look in content.get("looks", ())],
        )
    except (TypeError, ValueError, OverflowError):
        return Rounds()


def clear_rounds(sweep: Path) -> None:
    """Forget what an earlier sweep in this folder chose, but not that its seeds were added in rounds.

    The number of its seeds depends on their results, which the intervals of further seeds must allow for.
    """
    earlier = read_rounds(sweep)
    (sweep / ROUNDS_FILE).unlink(missing_ok=True)
    if earlier.until:
        Rounds(until=earlier.until, looks=earlier.looks).write(sweep)


def looks(seeds: int) -> list[int]:
    """The numbers of seeds after which a sweep with `until` can stop: 5, 10, 20, 40 … and all."""
    counts, count = [], FIRST_LOOK
    while count < seeds:
        counts.append(count)
        count *= 2
    return [*counts, seeds]
