"""The tables, curves and maps of the page: {title, note} with headings and rows, series, or points."""

from __future__ import annotations

import math
from typing import Any

from microgpt_lab.inspection.ablation import NOTE, Ablation
from microgpt_lab.inspection.against import Against
from microgpt_lab.inspection.embeddings import Plane
from microgpt_lab.inspection.expected import Prediction
from microgpt_lab.inspection.health import QUANTITIES, Health
from microgpt_lab.inspection.rendering import foremost

Figure = dict[str, Any]
MOST_CURVES = 14  # of a picture
MOST_ROWS = 60  # of a table of parts
CURVES = {
    "updates": "log₁₀ of update to weight",
    "gradients": "log₁₀ of gradients (rms)",
    "weights": "Weights (rms)",
    **{f"activations/{kind}": f"{text[0].upper()}{text[1:]}" for kind, text in QUANTITIES.items()},
    "loss": "Loss",
}


def table(title: str, headings: list[str], rows: list[list[Any]], note: str = "") -> Figure:
    """A table of texts and numbers. {"change": x} is a change of the loss, which has a colour."""
    if len(rows) > MOST_ROWS:
        note = f"{note} The first {MOST_ROWS} of {len(rows)}.".strip()
    return {"title": title, "note": note, "headings": headings, "rows": rows[:MOST_ROWS]}


def health_figures(health: Health) -> list[Figure]:
    """Weights, activations, loss by position, and the curves of each that the run kept."""
    weights = [
        [each.name, "×".join(map(str, each.shape)), each.weights, each.gradients, each.updates]
        for each in health.matrices
    ]
    places: dict[str, dict[str, float | None]] = {}
    for each in health.activations:
        places.setdefault(each.place, {})[each.quantity] = each.value
    inside = [[place, *map(found.get, QUANTITIES)] for place, found in sorted(places.items())]
    meanings = "; ".join(f"{kind}: {text}" for kind, text in QUANTITIES.items())
    found = [
        table("Weights", ["matrix", "shape", "rms", "rms of gradient", "log₁₀(update/weight)"], weights),
        table("Activations", ["", *QUANTITIES], inside, f"{meanings}."),
        {
            "title": "Loss by position, in nats per token",
            "note": "",
            "series": [{"name": "loss", "points": list(enumerate(health.loss_by_position))}],
        },
    ]
    return found + [
        training_curves(title, kind, health) for kind, title in CURVES.items() if of_kind(kind, health)
    ]


def of_kind(kind: str, health: Health) -> dict[str, list[tuple[int, float]]]:
    """The curves whose names begin with this kind, by the rest of the name."""
    found = {name.partition(f"{kind}/")[2]: curve for name, curve in health.curves.items()}
    return {name: curve for name, curve in found.items() if name and len(curve) > 1}


def training_curves(title: str, kind: str, health: Health) -> Figure:
    curves = [*of_kind(kind, health).items()]
    note = "In training, by step."
    if (count := len(curves)) > MOST_CURVES:
        note = f"{note} {MOST_CURVES} of {count}, from the first to the last layer."
        curves = [curves[round(i * (count - 1) / (MOST_CURVES - 1))] for i in range(MOST_CURVES)]
    if kind == "gradients":  # those of a deep model may differ by many orders of magnitude
        curves = [(name, [(step, math.log10(y)) for step, y in curve if y > 0]) for name, curve in curves]
    series = [{"name": name, "points": curve} for name, curve in curves if curve]
    return {"title": title, "note": note, "series": series}


def embedding_maps(planes: list[Plane]) -> list[Figure]:
    return [
        {
            "title": plane.name,
            "note": f"{sum(plane.explained):.0%} of the variance",
            "points": [[*point, label] for point, label in zip(plane.points, plane.labels, strict=True)],
        }
        for plane in planes
    ]


def ablation_table(removed: list[Ablation]) -> Figure:
    shown = foremost(removed, lambda each: abs(each.change), MOST_ROWS)
    rows = [
        [each.name, each.loss, {"change": each.change}, *({"change": x} for x in each.changes)]
        for each in shown
    ]
    left_out = f"The {len(shown)} of {len(removed)} where the loss changes most. "
    note = left_out + NOTE if len(shown) < len(removed) else NOTE
    return table("Without a part", ["without", "loss", "change", *removed[0].came], rows, note)


def against_table(found: Against, first: str, second: str) -> Figure:
    """The largest differences first, and the sum at the end."""
    rows: list[list[Any]] = [
        [
            f"{each.context[-12:]} → {each.came}", *each.nats, {"change": each.change},
            likeliest(each.first), likeliest(each.second),
        ]
        for each in found.differences[: MOST_ROWS - 1]
    ]  # fmt: skip
    rows.append(["sum", *found.nats, {"change": found.change}, "", ""])
    headings = ["", first, second, "change in nats", f"{first} expected", f"{second} expected"]
    return table("The largest differences first", headings, rows, found.note)


def likeliest(predictions: list[Prediction]) -> str:
    if len(predictions) > 1:
        return f"{len(predictions)} tokens"
    return "  ".join(f"{label} {p:.0%}" for label, p in predictions[0].likeliest[:3])
