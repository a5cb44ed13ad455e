"""The runs of a sweep as a table: `load_sweep(folder)` is a pandas DataFrame, a row a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.files import clean
from microgpt_lab.options.overrides import flatten, parse_value, single_value
from microgpt_lab.run.folder import Stored, Summary, read_metric, read_run
from microgpt_lab.sweeps.folder import run_folders

if TYPE_CHECKING:
    import pandas

LAST = 100  # of so many steps, a figure that summary.json does not have is the mean
OWN, KEYS = set(Summary.__annotations__), {"steps", "samples"}  # columns; those that are keys as well
DETAILS = ("documents", "documents_long", "documents_sha256", "parts", "core")  # of an environment
BARE = {"python": "", "platform": "", "packages": {}, "git_commit": None, "git_dirty": None}


def load_sweep(folder: str | Path) -> pandas.DataFrame:
    """A row for each run, whatever became of it: the keys that were swept, `status`, all figures of
    its summary.json, and its folder as index.

    A run of which a file cannot be read has the status "damaged", `error` says why, and it has no
    figures. `attrs` tells more: `swept` (the keys that differ, `seed` last), `fixed` (the values that
    do not), `environments` (each that a run was made in). Keys and texts are safe to print: control
    characters are escaped.
    """
    import pandas

    records = [record(read_run(run)) for run in run_folders(Path(folder))]
    if not records:
        single = " but is a run itself" if (Path(folder) / "summary.json").exists() else ""
        raise UserError(f"{folder} holds no runs of a sweep{single}")
    # Figures keep their columns, whatever a stranger's configuration has as keys.
    figures = {*OWN, *(key for record in records for key in record["summary"])} - KEYS
    swept = [key for key in swept_keys(records) if key not in figures]
    numbers = {key for record in records for key, x in record["summary"].items() if is_number(x)}
    rows = [
        {key: x for key, x in record["summary"].items() if is_number(x) or key not in numbers}
        | {key: record["values"].get(key) for key in swept}
        for record in records
    ]
    frame = pandas.DataFrame(rows, index=pandas.Index([record["folder"] for record in records], name="run"))
    for key in swept:  # beside a run that lacks the key, 2 stays 2 and does not become 2.0
        values = [record["values"].get(key) for record in records]
        if None in values:
            frame[key] = pandas.Series(values, index=frame.index, dtype=object)
    complete = [record["values"] for record in records if record["complete"]]
    fixed = {
        key: value
        for key, value in (complete[0] if complete else {}).items()
        if key not in swept and all(values.get(key, value) == value for values in complete)
    }
    made = {json.dumps(r["environment"], sort_keys=True): r["environment"] for r in records}
    frame.attrs |= {"swept": swept, "fixed": fixed, "environments": [e for e in made.values() if e]}
    return frame


def swept_keys(records: list[dict[str, Any]]) -> list[str]:
    """The keys that differ: first what was said, in its order, then what else does; `seed` last.

    Options of parts that were swept themselves differ because the parts do, and do not count.
    """

    def differs(key: str, among: list[dict[str, Any]]) -> bool:
        return len({repr(record["values"].get(key)) for record in among}) > 1

    said = {key: None for record in records for key in record["overrides"]}
    known = [r for r in records if r["overrides"] or r["summary"]["status"] != "damaged"]
    swept = [key for key in said if differs(key, known)]
    complete = [record for record in records if record["complete"]]
    common = [key for key in complete[0]["values"] if key not in said] if complete else []
    swept += [
        key
        for key in common
        if key.partition(".")[0] not in swept
        and all(key in record["values"] for record in complete)
        and differs(key, complete)
    ]
    return sorted(swept, key=lambda key: key == "seed")


def record(run: Stored) -> dict[str, Any]:
    """A run as a row: what its configuration says by key, and its figures."""
    said = (override.lstrip("+").partition("=") for override in run.overrides)
    overrides = {key: parse_value(value) for key, _, value in said}
    environment = {key: x for key, x in run.environment.items() if x is not None and key not in DETAILS}
    return {
        "folder": run.name,
        "overrides": overrides,
        "complete": bool(run.config),
        "values": {key: single_value(x) for key, x in (overrides | dict(flatten(run.config))).items()},
        "environment": BARE | environment if environment else {},
        "summary": {key: x for key, x in run.summary.items() if isinstance(x, str) or is_number(x)},
    }


def is_number(value: Any) -> bool:
    """Whether it is a figure: a number that can be squared."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e100 <= value <= 1e100


def curve(run: Path, metric: str) -> dict[int, float]:
    """The figure at each step that has it, from metrics.jsonl; none if that cannot be read."""
    try:
        if not run.exists():  # `load_sweep` has its name with escapes
            run = next((path for path in run.parent.iterdir() if clean(path.name) == run.name), run)
        return read_metric(run / "metrics.jsonl", metric)
    except (FileNotFoundError, UserError):
        return {}


def last(run: Path, metric: str) -> float | None:
    """The mean over the last steps, of a figure that each step has."""
    values = list(curve(run, metric).values())[-LAST:]
    return sum(values) / len(values) if values else None
