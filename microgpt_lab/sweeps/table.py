"""Load the runs of a sweep as a table: a pandas DataFrame with a row per run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.core.model import GPT
from microgpt_lab.errors import UserError
from microgpt_lab.options.files import clean
from microgpt_lab.options.overrides import flatten, key_of, parse_value, single_value
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run.folder import Stored, Summary, read_metric, read_run
from microgpt_lab.run.sources import differing, sources
from microgpt_lab.sweeps.changes import CHANGE, change_of, read_changes
from microgpt_lab.sweeps.folder import run_folders

if TYPE_CHECKING:
    import pandas

LAST_STEPS = 100  # the last steps over which a metric of metrics.jsonl is averaged
SUMMARY_KEYS = set(Summary.__annotations__)  # columns of the table
ALSO_CONFIG_KEYS = {"steps", "samples"}  # of these, the ones that are configuration keys too
DETAILS = ("documents", "documents_long", "documents_sha256", "parts", "callbacks", "core")  # of environments
EMPTY_ENVIRONMENT = {"python": "", "platform": "", "packages": {}, "git_commit": None, "git_dirty": None}


def load_sweep(folder: str | Path) -> pandas.DataFrame:
    """Load the runs of a sweep as a pandas DataFrame with a row per run, whatever its status.

    The index is the name of the run's folder. The columns are the swept keys, `status` and all metrics in
    summary.json, and the keys with numbers that the sweep's changes set. A run with a file that cannot be
    read has the status "damaged", no metrics, and the reason in `error`. `attrs` has `swept` (the keys that
    differ, `seed` last), `changed` (those that the sweep's changes set, which the column `change` stands
    for), `fixed` (the values that do not differ), `environments` (each environment of a run, once) and
    `sources` (of each part whose code was not the same in all runs, its source by run). Keys and texts are
    safe to print, because control characters are escaped.
    """
    import pandas

    changes = read_changes(Path(folder))
    records = [row_record(read_run(run), changes) for run in run_folders(Path(folder))]
    if not records:
        single = ", because it is a run itself" if (Path(folder) / "summary.json").exists() else ""
        raise UserError(f"{folder} contains no runs of a sweep{single}")
    # A metric keeps its column even if someone else's configuration has a key with the same name.
    metrics = {*SUMMARY_KEYS, *(key for record in records for key in record["summary"])} - ALSO_CONFIG_KEYS
    changed = {key_of(override) for overrides in changes.values() for override in overrides}
    swept = [key for key in swept_keys(records, changed) if key not in metrics]
    complete = [record["values"] for record in records if record["complete"]]
    quantities = [  # of the changes
        key
        for key in sorted(changed.difference(swept, metrics))
        if complete and all(is_number(values.get(key)) for values in complete)
    ]
    numbers = {key for record in records for key, x in record["summary"].items() if is_number(x)}
    rows = [
        {key: x for key, x in record["summary"].items() if is_number(x) or key not in numbers}
        | {key: record["values"].get(key) for key in (*swept, *quantities)}
        for record in records
    ]
    frame = pandas.DataFrame(rows, index=pandas.Index([record["folder"] for record in records], name="run"))
    for key in swept:  # keep 2 an integer, instead of 2.0, if another run lacks the key
        values = [record["values"].get(key) for record in records]
        if None in values:
            frame[key] = pandas.Series(values, index=frame.index, dtype=object)
    fixed = {
        key: value
        for key, value in (complete[0] if complete else {}).items()
        if key not in swept and all(values.get(key, value) == value for values in complete)
    }
    distinct = {json.dumps(r["environment"], sort_keys=True): r["environment"] for r in records}
    environments = [environment for environment in distinct.values() if environment]
    sources = differing({record["folder"]: record["sources"] for record in records})
    frame.attrs |= {"swept": swept, "changed": changed, "fixed": fixed}
    frame.attrs |= {"environments": environments, "sources": sources}
    return frame


def swept_keys(records: list[dict[str, Any]], changed: set[str]) -> list[str]:
    """Return the keys that differ: overridden keys in their order, then other keys, and `seed` last.

    Options of parts that were swept themselves do not count, because they differ only because the parts do.
    Neither do the parts and keys of the model if `model` was swept, because its presets set them, nor
    `changed`, which the sweep's changes set, nor the widths that `match` has chosen.
    """

    def differs(key: str, among: list[dict[str, Any]]) -> bool:
        values = [record["values"].get(key) for record in among]
        return any(x is not values[0] and repr(x) != repr(values[0]) for x in values)

    overridden = {key: None for record in records for key in record["overrides"]}
    readable = [r for r in records if r["overrides"] or r["summary"]["status"] != "damaged"]
    swept = [key for key in overridden if differs(key, readable)]
    complete = [record for record in records if record["complete"]]
    first = complete[0]["values"] if complete else {}
    common = set(first).intersection(*(record["values"] for record in complete)).difference(overridden)
    others = [key for key in first if key in common]
    of_model = {*MODEL_KINDS, *options_of(GPT)} if "model" in {*swept, *changed} else ()
    matched = [r["values"] for r in complete if r["values"].get("match", "none") != "none"]
    chosen = {"match_reference", *(values.get("match_free") for values in matched)} if matched else ()
    swept += [
        key
        for key in others
        if not {key, key.partition(".")[0]} & {*swept, *of_model, *changed}
        and key not in chosen
        and differs(key, complete)
    ]
    return sorted(swept, key=lambda key: key == "seed")


def row_record(run: Stored, changes: dict[str, list[str]]) -> dict[str, Any]:
    """Return what a row needs from a run: its overrides, configuration, environment and metrics, by key."""
    change = change_of(run.overrides, changes)
    pairs = (o.lstrip("+").partition("=") for o in run.overrides if o not in changes.get(change, ()))
    overrides = {key: single_value(parse_value(value)) for key, _, value in pairs}
    if changes:
        overrides = {CHANGE: change} | overrides
    config = {key: json.dumps(x) if isinstance(x, list) else x for key, x in flatten(run.config)}
    environment = {key: x for key, x in run.environment.items() if x is not None and key not in DETAILS}
    return {
        "folder": run.name,
        "overrides": overrides,
        "complete": bool(run.config),
        "values": overrides | config,
        "environment": EMPTY_ENVIRONMENT | environment if environment else {},
        "sources": sources(run),
        "summary": {key: x for key, x in run.summary.items() if isinstance(x, str) or is_number(x)},
    }


def is_number(value: Any) -> bool:
    """Return whether a value is a number that can be squared."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e100 <= value <= 1e100


def curve(run: Path, metric: str) -> dict[int, float]:
    """Return a metric by step from metrics.jsonl; empty if the file is missing or cannot be read.

    A run that minimizes nothing but the cross-entropy has it as loss/train, which is returned for loss/ce.
    """
    try:
        if not run.exists():  # a name from `load_sweep` has escapes in place of control characters
            run = next((path for path in run.parent.iterdir() if clean(path.name) == run.name), run)
        return read_metric(run / "metrics.jsonl", metric, "loss/train" if metric == "loss/ce" else "")
    except (FileNotFoundError, UserError):
        return {}


def mean_of_last_steps(run: Path, metric: str) -> float | None:
    """Return the mean of a metric over the last steps that have it; None if no step has it."""
    values = list(curve(run, metric).values())[-LAST_STEPS:]
    return sum(values) / len(values) if values else None
