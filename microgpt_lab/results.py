"""The runs of a sweep as a table: `load_sweep(folder)` is a pandas DataFrame, a row a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab import untrusted
from microgpt_lab.errors import UserError, printable
from microgpt_lab.plugins import KINDS
from microgpt_lab.sweep import read_summary, runs

if TYPE_CHECKING:
    import pandas

LAST = 100  # of so many steps, a figure that summary.json does not have is the mean


def load_sweep(folder: str | Path) -> pandas.DataFrame:
    """A row for each run, whatever became of it: the keys that were swept, `status`, all figures of
    its summary.json, and its folder as index.

    `attrs` tells more: `swept` (the keys that differ, `seed` last), `fixed` (the values that do not),
    `environments` (each that a run was made in).
    """
    import pandas

    records = [checked(run) for run in runs(Path(folder))]
    if not records:
        single = " but is a run itself" if (Path(folder) / "summary.json").exists() else ""
        raise UserError(f"{folder} holds no runs of a sweep{single}")
    swept = swept_keys(records)
    rows = [record["summary"] | {key: record["values"].get(key) for key in swept} for record in records]
    frame = pandas.DataFrame(rows, index=pandas.Index([record["folder"] for record in records], name="run"))
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
    swept = [key for key in said if differs(key, records)]
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


def checked(run: Path) -> dict[str, Any]:
    """Of what others wrote, anything may be otherwise than we write it."""
    try:
        return read_run(run)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{run} is damaged: {type(error).__name__}: {error}") from None


def read_run(folder: Path) -> dict[str, Any]:
    """What a run's files say, as far as they are there."""
    listed = read_yaml(folder / "overrides.yaml") or []
    overrides = {key: scalar(value) for key, _, value in (o.lstrip("+").partition("=") for o in listed)}
    config = environment = {}
    if (folder / "config.yaml").is_file():
        config = read_yaml(folder / "config.yaml") or {}
    if (folder / "environment.json").is_file():
        environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        for detail in ("documents", "documents_long", "documents_sha256", "parts", "core"):
            environment.pop(detail, None)
    return {
        "folder": folder.name,
        "overrides": overrides,
        "complete": bool(config),
        "values": {key: clean(x) for key, x in (overrides | dict(flattened(config))).items()},
        "environment": environment,
        "summary": {k: clean(x) for k, x in read_summary(folder).items() if isinstance(x, (int, float, str))},
    }


def read_yaml(file: Path) -> Any:
    return untrusted.load(file.read_text(encoding="utf-8"), file)


def clean(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def scalar(text: str) -> Any:
    """The value that an override gives, or its text if that is no single value."""
    try:
        value = untrusted.load(text, "a value")
    except UserError:
        return text
    return value if isinstance(value, (int, float, bool, str)) or value is None else text


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
            # A run that is at work, or was killed, may have written the last line in part.
            rows = [json.loads(line) for line in file if f'"{metric}"' in line and line.endswith("}\n")]
    except FileNotFoundError:
        return {}
    return {row["step"]: row[metric] for row in rows if "step" in row}


def last(run: Path, metric: str) -> float | None:
    """The mean over the last steps, of a figure that each step has."""
    values = list(curve(run, metric).values())[-LAST:]
    return sum(values) / len(values) if values else None
