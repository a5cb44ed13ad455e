"""Read what a run kept of its training: diagnostics.jsonl of the callback diagnostics, losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from microgpt_lab.errors import UserError
from microgpt_lab.options.files import clean, msgspec_message, open_regular
from microgpt_lab.run.folder import Figure, read_metric

FILE, LARGEST = "diagnostics.jsonl", 100_000_000  # bytes
Curve = list[tuple[int, float]]
BARS = "▁▂▃▄▅▆▇█"


def curves(folder: Path) -> dict[str, Curve]:
    """Return the figures of diagnostics.jsonl, and the validation loss, by name: pairs of step and value.

    Empty for a file that is missing. UserError if one cannot be read.
    """
    found: dict[str, Curve] = {}
    try:
        with open_regular(folder / FILE) as file:
            lines = file.read(LARGEST).rpartition(b"\n")[0]
        rows: list[Any] = msgspec.json.Decoder(dict[str, Figure | None]).decode_lines(lines)
    except FileNotFoundError:
        rows = []
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"{folder / FILE}: {msgspec_message(error)}") from None
    for row in rows:
        step = row.pop("step", None)
        for name, x in row.items():
            if x is not None and step is not None:
                found.setdefault(clean(name), []).append((int(step), x))
    try:
        if loss := read_metric(folder / "metrics.jsonl"):
            found["loss/val"] = sorted(loss.items())
    except FileNotFoundError:
        pass
    return found


def sparkline(curve: Curve, width: int = 24) -> str:
    """Return a curve as a line of small bars, from its smallest number to its largest: flat below 1 %."""
    if len(curve) < 2:
        return ""
    values = (
        [curve[i * (len(curve) - 1) // (width - 1)][1] for i in range(width)]
        if len(curve) > width
        else [x for _, x in curve]
    )
    low, high = min(values), max(values)
    span = max(high - low, 0.01 * max(abs(low), abs(high))) or 1.0
    return "".join(BARS[round((x - low) / span * 7)] for x in values)
