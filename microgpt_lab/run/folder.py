"""Read the files in the folder of a run, which may come from someone else and is not trusted.

Every file must be a regular file of bounded size and depth, in UTF-8, with the types below. Otherwise a
UserError says what is wrong. The schema is open: any file or key may be missing, and unknown keys are
allowed. Text for a terminal or a page is `clean`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec

from microgpt_lab.errors import UserError
from microgpt_lab.options import untrusted
from microgpt_lab.options.files import clean, deeper_than, msgspec_message, open_regular, read_text
from microgpt_lab.options.older import current, current_overrides

# In bytes.
LONGEST_LINE = 1_000_000  # a line of metrics.jsonl
LARGEST_METRICS = 4_000_000_000  # metrics.jsonl, which is read in blocks

# A number that can be squared and summed without overflow. JSON has no infinity. null means no figure.
Figure = Annotated[float, msgspec.Meta(ge=-1e100, le=1e100)]
Step = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Summary = TypedDict(
    "Summary",
    {
        "status": str,
        "error": str,
        "signal": str,
        "parameters": Figure | None,
        "parameters_by_kind": dict[str, Figure],
        "flops_per_token": Figure | None,
        "flops": Figure | None,
        "steps": Figure | None,
        "seconds": Figure | None,
        "resumed": list[Step],
        "loss/val": Figure | None,
        "bits_per_char/val": Figure | None,
        "documents/val": Figure | None,
        "characters/val": Figure | None,
        "best/step": Figure | None,
        "best/loss/val": Figure | None,
        "loss/val_unseen": Figure | None,
        "documents/val_unseen": Figure | None,
        "guessing": dict[str, Figure],
        "guessing_bits": dict[str, Figure],
        "exact_match": Figure | None,
        "documents/exact_match": Figure | None,
        "samples": list[str],
        "samples_new": Figure | None,
        "config": dict[str, Any],
    },
    total=False,
)


class Environment(TypedDict, total=False):
    python: str | None
    platform: str | None
    cores: Step | None
    packages: dict[str, str | None]
    git_commit: str | None
    git_dirty: bool | None
    documents: Step | None
    documents_sha256: str | None
    parts: dict[str, Any]
    callbacks: dict[str, Any]
    core: str | None


class Check(TypedDict, total=False):
    """A small run of a recipe, and its expected results: figures of its summary, losses by step."""

    overrides: list[str]
    figures: dict[str, Figure]
    steps: dict[Step, Figure]
    tolerance: Figure


class Expected(TypedDict, total=False):
    metric: str
    setting: str
    value: Figure
    tolerance: Figure
    seeds: Step
    backend: str
    seconds: Figure | None
    check: Check


class Report(TypedDict, total=False):
    """The report of a sweep: the seeds at each look, by question."""

    looks: dict[str, list[Step]]


class TestLooks(TypedDict, total=False):
    """How often `evaluate` has shown a run's loss on test documents."""

    looks: Step


SCHEMA: dict[str, Any] = {
    "config.yaml": dict[str, Any] | None,  # None: an empty file
    "overrides.yaml": list[str] | None,
    "environment.json": Environment,
    "summary.json": Summary,
    "expected.json": Expected,
    "report.json": Report,
    "test_looks.json": TestLooks,
}


class Stored(NamedTuple):
    """The content of a run's files, clean, with the keys of this version.

    If a file cannot be read, the status is "damaged".
    """

    name: str
    overrides: list[str]
    config: dict[str, Any]
    environment: dict[str, Any]
    summary: dict[str, Any]


def is_run(folder: Path) -> bool:
    """Return whether a folder contains a run. A run that has just started has `overrides.yaml`."""
    if not folder.is_dir():
        return False
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:  # `read_run` reports the error
        return True
    return "overrides.yaml" in names or {"config.yaml", "summary.json"} <= names


def read_run(folder: Path) -> Stored:
    """Read what a report needs from a run, whatever its folder contains.

    The configuration is that in summary.json. Only without one, config.yaml is read, which takes longer than
    all other files.
    """
    contents, errors = {}, []
    for name in ("overrides.yaml", "environment.json", "summary.json", "metrics.jsonl", "config.yaml"):
        if name == "config.yaml" and contents.get("summary.json", {}).get("config"):
            continue
        try:
            contents[name] = (read_metric if name == "metrics.jsonl" else read_clean)(folder / name)
        except FileNotFoundError:
            continue
        except UserError as error:
            errors.append(str(error).removeprefix(f"{folder}{os.sep}"))
    summary = {"status": "unfinished"} | contents.get("summary.json", {})
    config = summary.pop("config", None) or contents.get("config.yaml") or {}
    environment = contents.get("environment.json", {})
    if errors:
        summary = {"status": "damaged", "error": clean("; ".join(errors))}
    overrides = current_overrides(contents.get("overrides.yaml") or [], config)
    return Stored(clean(folder.name), overrides, current(config), environment, summary)


def read_summary(run: Path) -> dict[str, Any]:
    """Read summary.json, clean. Without one, the run was killed or is running: "unfinished"."""
    try:
        return clean({"status": "unfinished"} | read(run / "summary.json"))
    except FileNotFoundError:
        return {"status": "unfinished"}
    except UserError as error:
        return clean({"status": "damaged", "error": str(error)})


@lru_cache(maxsize=16)
def line_decoder(metrics: tuple[str, ...]) -> msgspec.json.Decoder:
    types: Any = dict.fromkeys(metrics, Figure | None) | {"step": Step}
    return msgspec.json.Decoder(TypedDict("types", types, total=False))  # type: ignore


def read_metric(path: Path, metric: str = "loss/val", otherwise: str = "") -> dict[int, float]:
    """Read a metric by step from a file with one JSON object per line; `otherwise` if no line has it.

    An incomplete last line is ignored. FileNotFoundError if the file is missing, UserError if a line cannot
    be read.
    """
    metrics = (metric, otherwise) if otherwise else (metric,)
    decoder, rest, count = line_decoder(metrics), b"", 1
    found: list[dict[int, float]] = [{} for _ in metrics]
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_METRICS:
            raise UserError(f"{path} is larger than {LARGEST_METRICS:,} bytes")
        while block := file.read(LONGEST_LINE):
            lines, _, rest = (rest + block).rpartition(b"\n")
            try:
                rows = decoder.decode_lines(lines)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise UserError(f"{path}, from line {count}: {msgspec_message(error)}") from None
            if len(rest) > LONGEST_LINE:
                raise UserError(f"{path} has a line of more than {LONGEST_LINE:,} bytes")
            count += lines.count(b"\n") + bool(lines)
            for name, figures in zip(metrics, found):
                figures |= {
                    row["step"]: row[name] for row in rows if row.get(name) is not None and "step" in row
                }
    return found[0] or found[-1]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all metrics of a file with one JSON object per line. An incomplete last line is ignored.

    FileNotFoundError if the file is missing, UserError if a line cannot be read.
    """
    decoder = msgspec.json.Decoder(dict[str, Figure | None])
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_METRICS:
            raise UserError(f"{path} is larger than {LARGEST_METRICS:,} bytes")
        lines = file.read(LARGEST_METRICS).rpartition(b"\n")[0]
    try:
        return decoder.decode_lines(lines)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"{path}: {msgspec_message(error)}") from None


def read(path: Path) -> Any:
    """Read a YAML or JSON file. FileNotFoundError if it is missing, UserError if it does not fit SCHEMA."""
    return parse(read_text(path), path)


def read_clean(path: Path) -> Any:
    """Read a file as `read` does, clean."""
    text = read_text(path)
    content = parse(text, path)
    # JSON without escapes has no other characters than its text, so that most files need no second pass.
    is_clean = path.suffix == ".json" and "\\" not in text and text.replace("\n", "").isprintable()
    return content if is_clean else clean(content)


def parse(text: str, path: Path) -> Any:
    try:
        content = untrusted.load(text, path) if path.suffix == ".yaml" else msgspec.json.decode(text)
        msgspec.convert(content, SCHEMA.get(path.name, dict[str, Any]), str_keys=True)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"{path}: {msgspec_message(error)}") from None
    if deeper_than(content, untrusted.DEEPEST):
        raise UserError(f"{path} is deeper than {untrusted.DEEPEST} levels")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Return an empty one if the file is missing or cannot be read."""
    try:
        return read(path)
    except (FileNotFoundError, UserError):
        return {}
