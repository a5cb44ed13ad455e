"""The runs of a sweep as a table: `load_sweep(folder)` is a pandas DataFrame, a row a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from microgpt_lab.errors import UserError
from microgpt_lab.plugins import KINDS
from microgpt_lab.sweep import read_summary, runs

if TYPE_CHECKING:
    import pandas

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
LAST = 100  # of so many steps, a figure that summary.json does not have is the mean


def load_sweep(folder: str | Path) -> pandas.DataFrame:
    """A row for each run, whatever became of it: the keys that were swept, `status`, all figures of
    its summary.json, and its folder as index.

    `attrs` tells more: `swept` (the keys that differ, `seed` last), `fixed` (the values that do not),
    `environments` (each that a run was made in).
    """
    import pandas

    records = [read_run(run) for run in runs(Path(folder))]
    if not records:
        raise UserError(f"{folder} holds no runs of a sweep")
    keys = {key: None for record in records for key in record["overrides"]}  # in the order of their first
    swept = [key for key in keys if len({repr(record["values"].get(key)) for record in records}) > 1]
    swept.sort(key=lambda key: key == "seed")
    rows = [{key: record["values"].get(key) for key in swept} | record["summary"] for record in records]
    frame = pandas.DataFrame(rows, index=pandas.Index([record["folder"] for record in records], name="run"))
    fixed = {
        key: value
        for key, value in next(
            (r["values"] for r in records if len(r["values"]) > len(r["overrides"])), {}
        ).items()
        if all(record["values"].get(key, value) == value for record in records)
    }
    environments = {
        json.dumps(record["environment"], sort_keys=True): record["environment"] for record in records
    }
    frame.attrs |= {"swept": swept, "fixed": fixed, "environments": [e for e in environments.values() if e]}
    return frame


def read_run(folder: Path) -> dict[str, Any]:
    overrides = dict(
        override.lstrip("+").partition("=")[::2]
        for override in yaml.load((folder / "overrides.yaml").read_text(encoding="utf-8"), LOADER)
    )
    overrides.pop("experiment", None)
    values: dict[str, Any] = {key: yaml.load(value, LOADER) for key, value in overrides.items()}
    environment = {}
    if (folder / "config.yaml").is_file():
        config = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), LOADER)
        values = dict(flattened(config))
    if (folder / "environment.json").is_file():
        environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        for detail in ("documents", "documents_sha256", "plugins"):
            environment.pop(detail, None)
    summary = {key: x for key, x in read_summary(folder).items() if isinstance(x, (int, float, str))}
    return {
        "folder": folder.name,
        "overrides": overrides,
        "values": values,
        "environment": environment,
        "summary": summary,
    }


def flattened(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """('optimizer', 'adam'), ('optimizer.lr', 0.01), …: as one would set them."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield (prefix[:-1] if key == "name" and prefix[:-1] in KINDS else prefix + key), value


def curve(run: Path, metric: str) -> dict[int, float]:
    """The figure at each step that has it, from metrics.jsonl."""
    try:
        with (run / "metrics.jsonl").open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if f'"{metric}"' in line]
    except FileNotFoundError:
        return {}
    return {row["step"]: row[metric] for row in rows}


def last(run: Path, metric: str) -> float | None:
    """The mean over the last steps, of a figure that each step has."""
    values = list(curve(run, metric).values())[-LAST:]
    return sum(values) / len(values) if values else None
