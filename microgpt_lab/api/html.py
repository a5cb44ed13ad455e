"""Show a run in a notebook: its losses, its curve and samples, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from microgpt_lab.errors import printable
from microgpt_lab.run.curve import LossCurve
from microgpt_lab.run.folder import Stored

MOST_SAMPLES = 10
CELL = "text-align: left; padding: 2px 16px 2px 0; background: none"


def of_run(run: Stored, rows: list[dict[str, Any]], folder: str) -> str:
    """Return a run as HTML. rows: its metrics, one step each."""
    summary = run.summary
    steps = run.config.get("steps")
    curve = LossCurve(steps if isinstance(steps, int) else len(rows))
    for row in rows:
        if "step" in row:
            curve.add(int(row["step"]), row.get("loss/train"), row.get("loss/val"))
    name = ",".join(run.overrides) or "default"
    head = f"<b>{safe(name)}</b> {safe(state(summary))}<br><code>{safe(folder)}</code>"
    samples = [str(each) for each in summary.get("samples", [])][:MOST_SAMPLES]
    parts = [f"<p>{head}</p>", table(losses(summary)), curve.svg()]
    if samples:
        shown = ", ".join(f"<i>{safe(each) or '·'}</i>" for each in samples)
        parts.append(f"<p>samples: {shown}</p>")
    return "".join(parts)


def state(summary: dict[str, Any]) -> str:
    """How a run has ended, in words."""
    took = f", {summary['seconds']:.1f} s" if summary.get("seconds") is not None else ""
    steps = f" after {summary['steps']:,.0f} steps" if summary.get("steps") is not None else ""
    error = f": {summary['error']}" if summary.get("error") else ""
    return f"{summary['status']}{steps}{took}{error}"


def losses(summary: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the validation loss and those of the counting models, in nats and bits."""
    if (loss := summary.get("loss/val")) is None:
        return
    bits = summary.get("bits_per_char/val")
    yield "", "nats per token", "bits per character"
    yield "validation loss", f"{loss:.4f}", "" if bits is None else f"{bits:.2f}"
    in_bits = summary.get("guessing_bits", {})
    for name, nats in summary.get("guessing", {}).items():
        yield name, f"{nats:.4f}", f"{in_bits[name]:.2f}" if name in in_bits else ""


def table(rows: Iterable[Iterable[str]]) -> str:
    """Return a table, whose first row is a heading."""
    cells = ["".join(f'<td style="{CELL}">{safe(cell)}</td>' for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>" if cells else ""


def safe(text: str) -> str:
    """Escape markup and control characters, because a run may come from somebody else."""
    return escape(printable(text))
