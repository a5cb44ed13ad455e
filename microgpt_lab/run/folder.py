"""Read what the folder of a run holds. All of it goes through here, because the folder may be a stranger's.

Whatever is read is a regular file of bounded size, in UTF-8, shallow, and of the types below; a
UserError says what else it is. The schema is open: any file or key may be missing, and unknown keys
may be there. What goes to a terminal or a page is `clean`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec

from microgpt_lab.errors import UserError
from microgpt_lab.options import untrusted
from microgpt_lab.options.files import clean, deeper_than, msgspec_message, open_regular, read_text

# In bytes.
LONGEST_LINE = 1_000_000  # a line of metrics.jsonl
LARGEST_METRICS = 4_000_000_000  # metrics.jsonl, which is read in blocks

# A number that can be squared and summed. JSON has no infinity; null is no figure.
Figure = Annotated[float, msgspec.Meta(ge=-1e100, le=1e100)]
Step = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Summary = TypedDict(
    "Summary",
    {
        "status": str,
        "error": str,
        "signal": str,
        "parameters": Figure | None,
        "steps": Figure | None,
        "seconds": Figure | None,
        "resumed": list[Step],
        "loss/val": Figure | None,
        "documents/val": Figure | None,
        "best/step": Figure | None,
        "best/loss/val": Figure | None,
        "loss/val_unseen": Figure | None,
        "documents/val_unseen": Figure | None,
        "guessing": dict[str, Figure],
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
    core: str | None


class Check(TypedDict, total=False):
    """A small run of a recipe, and what it comes to: figures of its summary, losses by step."""

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
    """Of a sweep's report: the seeds at each look, by question."""

    looks: dict[str, list[Step]]


SCHEMA: dict[str, Any] = {
    "config.yaml": dict[str, Any] | None,  # None: an empty file
    "overrides.yaml": list[str] | None,
    "environment.json": Environment,
    "summary.json": Summary,
    "expected.json": Expected,
    "report.json": Report,
}


class Stored(NamedTuple):
    """What the files of a run say, clean. If one cannot be read, `summary` says "damaged", and the error."""

    name: str
    overrides: list[str]
    config: dict[str, Any]
    environment: dict[str, Any]
    summary: dict[str, Any]


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run: one at work has `overrides.yaml` by then."""
    if not folder.is_dir():
        return False
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:  # `read_run` says what is wrong
        return True
    return "overrides.yaml" in names or {"config.yaml", "summary.json"} <= names


def read_run(folder: Path) -> Stored:
    """What a report takes from a run, whatever its folder holds."""
    found, damage = {}, []
    for name in ("overrides.yaml", "config.yaml", "environment.json", "summary.json", "metrics.jsonl"):
        try:
            found[name] = (read_metric if name == "metrics.jsonl" else read)(folder / name)
        except FileNotFoundError:
            continue
        except UserError as error:
            damage.append(str(error).removeprefix(f"{folder}{os.sep}"))
    summary = {"status": "unfinished"} | found.get("summary.json", {})
    if damage:
        summary = {"status": "damaged", "error": "; ".join(damage)}
    config, environment = (found.get(name) or {} for name in ("config.yaml", "environment.json"))
    return Stored(*map(clean, (folder.name, found.get("overrides.yaml") or [], config, environment, summary)))


def read_summary(run: Path) -> dict[str, Any]:
    """What summary.json says, clean. A run that has none was killed, or is at work: "unfinished"."""
    try:
        return clean({"status": "unfinished"} | read(run / "summary.json"))
    except FileNotFoundError:
        return {"status": "unfinished"}
    except UserError as error:
        return clean({"status": "damaged", "error": str(error)})


def read_metric(path: Path, metric: str = "loss/val") -> dict[int, float]:
    """The figure at each step that has it, in a file of a JSON object a line. The last line may be torn.

    FileNotFoundError if there is none; UserError for a line that is something else.
    """
    types: Any = TypedDict("types", {metric: Figure | None, "step": Step}, total=False)  # type: ignore
    decoder, found, rest, count = msgspec.json.Decoder(types), {}, b"", 1
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
            found |= {
                row["step"]: row[metric] for row in rows if row.get(metric) is not None and "step" in row
            }
    return found


def read(path: Path) -> Any:
    """The content of a YAML or JSON file. FileNotFoundError; UserError if it is not what SCHEMA says."""
    content = read_text(path)
    try:
        content = untrusted.load(content, path) if path.suffix == ".yaml" else msgspec.json.decode(content)
        msgspec.convert(content, SCHEMA.get(path.name, dict[str, Any]), str_keys=True)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"{path}: {msgspec_message(error)}") from None
    if deeper_than(content, untrusted.DEEPEST):
        raise UserError(f"{path} is deeper than {untrusted.DEEPEST} levels")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none, or it cannot be read."""
    try:
        return read(path)
    except (FileNotFoundError, UserError):
        return {}
