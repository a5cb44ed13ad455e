"""Show each setting at its best value of a key, and keep the comparison fair to settings with few values.

The best value is chosen on other seeds than those that are compared, if there are enough. Otherwise, the
comparison must count all candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgpt_lab.errors import UserError
from microgpt_lab.options.overrides import parse_value
from microgpt_lab.report.settings import Setting, direction, group, none_for_nan, numbered
from microgpt_lab.sweeps.rounds import Rounds

if TYPE_CHECKING:
    import pandas

# With ENOUGH_TO_SPLIT seeds, the first number choose and the others are compared. Choosing on half of them
# would detect less than counting all candidates (docs/reports.md).
CHOOSING_SEEDS, ENOUGH_TO_SPLIT = 3, 10


@dataclass(frozen=True)
class Choice:
    """The runs of a sweep at each setting's best values of `keys`.

    seeds: the number of other seeds that they were chosen on; 0 if they were chosen on these same runs.
    candidates: the number of settings that the comparison must count; 0 for those that are compared.
    at_end: where the best value is the smallest or the largest of those tried, as text.
    """

    frame: pandas.DataFrame
    keys: list[str]
    seeds: int
    candidates: int
    at_end: list[str]


def at_chosen(frame: pandas.DataFrame, rounds: Rounds) -> Choice:
    """Keep the runs of a tuned sweep that are compared: at the chosen values, with other seeds."""
    if not rounds.chosen or "seed" not in frame:
        keys = " and ".join(rounds.tune)
        raise UserError(f"the sweep has not chosen {keys} yet: repeat its command to continue it")
    tuning = {comparable(seed) for seed in rounds.tuning_seeds}
    is_tuning = np.array([comparable(seed) in tuning for seed in frame["seed"]], bool)
    chosen = [
        {
            key.lstrip("+"): parse_value(value)
            for key, _, value in (override.partition("=") for override in job)
        }
        for job in rounds.chosen
    ]
    keys = [key for key in frame.attrs["swept"] if key in chosen[0]]
    values = np.array([[comparable(x) for x in frame[key]] for key in keys], object).T  # (runs, keys)
    kept, ends = np.zeros(len(frame), bool), []
    for wanted in chosen:
        same = values == np.array([comparable(wanted.get(key)) for key in keys], object)
        kept |= same.all(1) & ~is_tuning
        of_setting = same[:, [key not in rounds.tune for key in keys]].all(1)
        setting = {key: wanted.get(key) for key in without(keys, rounds.tune)}
        for key in (key for key in keys if key in rounds.tune):
            tried = set(values[of_setting, keys.index(key)])
            ends += at_end(setting, key, comparable(wanted.get(key)), tried)
    rows = cast("pandas.DataFrame", frame[kept])
    rows.attrs = frame.attrs | {"swept": without(frame.attrs["swept"], rounds.tune)}
    return Choice(rows, rounds.tune, len(rounds.tuning_seeds), 0, ends)


def at_best(frame: pandas.DataFrame, metric: str, key: str) -> Choice:
    """Keep, for each setting of the other keys, only the runs at its best value of `key`.

    With 10 seeds or more, the last three choose the value, and only the others are kept. A value with a
    failed run is the best only if every value has one: then the value with the fewest.
    """
    import pandas

    swept = without(frame.attrs["swept"], [key])
    seeds = set(frame["seed"].dropna()) if "seed" in swept else set()
    choosing = sorted(seeds, key=seed_order)[-CHOOSING_SEEDS:] if len(seeds) >= ENOUGH_TO_SPLIT else []
    numbers, combinations = numbered(frame, without(swept, ["seed"]))
    best_runs, candidates, ends = [], 0, []
    for i, combination in enumerate(combinations):
        rows = cast("pandas.DataFrame", frame[np.equal(numbers, i)])
        is_choosing = rows["seed"].isin(choosing).to_numpy() if choosing else np.ones(len(rows), bool)
        tried = values_by_rank(cast("pandas.DataFrame", rows[is_choosing]), metric, key, swept)
        candidates += len(tried)
        value = tried[0] if tried else none_for_nan(rows[key].iloc[0])
        same = np.array([none_for_nan(x) == value for x in rows[key]], bool)
        best_runs.append(rows[same & (~is_choosing if choosing else is_choosing)])
        ends += at_end(dict(zip(without(swept, ["seed"]), combination)), key, value, tried)
    best_frame = pandas.concat(best_runs)
    best_frame.attrs = frame.attrs | {"swept": swept}
    return Choice(best_frame, [key], len(choosing), 0 if choosing else candidates, ends)


def seed_order(seed: Any) -> tuple[bool, Any]:
    """Numbers in ascending order, then texts, which a foreign folder may have."""
    return isinstance(seed, str), seed


def values_by_rank(rows: pandas.DataFrame, metric: str, key: str, swept: Sequence[str]) -> list[Any]:
    """Rank the values of a key for one setting, the best one first."""
    if not len(rows):
        return []
    rows.attrs = {"swept": [key, *(name for name in swept if name == "seed")]}
    runs = group(rows, metric, [key])
    aligned = runs.align()
    means = np.full(len(runs.settings), np.inf)
    if aligned.seeds.any():
        means[aligned.settings] = direction(metric) * aligned.table(runs.values).mean(0)

    def order(index: int) -> tuple[float, int, int]:
        setting = runs.settings[index]
        return means[index], setting.failed, -setting.runs

    return [runs.settings[index].keys[key] for index in sorted(range(len(means)), key=order)]


def at_end(setting: dict[str, Any], key: str, value: Any, tried: Iterable[Any]) -> Iterator[str]:
    """Yield a sentence if the best value of a key is the smallest or largest number of those tried."""
    numbers = [x for x in tried if isinstance(x, (int, float)) and not isinstance(x, bool)]
    if len(numbers) > 1 and value in (min(numbers), max(numbers)):
        which = "smallest" if value == min(numbers) else "largest"
        where = f"{Setting(setting, 0, {}, None, None, None).name}: " if setting else ""
        yield f"{where}the best {key}, {value:g}, is the {which} tried"


def comparable(value: Any) -> Any:
    """A value of a run or of the command line, which YAML may have read as text (1e-3)."""
    try:
        return value if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return str(none_for_nan(value))


def without(keys: Iterable[str], others: Iterable[str]) -> list[str]:
    others = set(others)
    return [key for key in keys if key not in others]
