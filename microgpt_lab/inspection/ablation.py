"""Ablation: the loss of a text without a head, an MLP, or a position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from microgpt_lab.inspection.rendering import (
    MORE,
    MOST_ROWS,
    Fitted,
    View,
    Views,
    add,
    foremost,
    signed,
    titled,
)
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.inspection.reruns import Change, log_softmax, logits
from microgpt_lab.inspection.terms import array

NOTE = "Nats per token more than with everything. Each is removed by itself: it adds 0, and the rest goes on."
WIDTH = 6  # columns of a change
NO_VECTOR = "No position is a vector that could be removed."


@dataclass(frozen=True, repr=False)
class Ablation(View):
    """The loss of a text with a piece of the model removed.

    kind: "head", "attention" (all heads of a layer), "mlp", "position" (of one place; -1: of all).
    loss, change: cross-entropy in nats per token, and how much it is above that of the whole model.
    changes: of each prediction, (T,).
    came: labels of the tokens to predict.
    """

    name: str
    kind: str
    layer: int | None
    index: int | None
    loss: float
    change: float
    changes: list[float]
    came: list[str]

    def __rich__(self) -> Any:
        return self.together(Views([self]))

    @staticmethod
    def together(ablations: Views[Ablation]) -> Any:
        return Fitted(lambda width: Group(*shown(ablations, width)))


def shown(ablations: Sequence[Ablation], width: int) -> Iterator[Any]:
    """Yield a table of the parts, and of the predictions, that change most, and what it leaves out."""
    rows = foremost(ablations, lambda each: abs(each.change), MOST_ROWS)
    names, came = max(len(each.name) for each in rows), ablations[0].came
    room = max(0, (width - names - len("  0.000 +0.000")) // (max(WIDTH, *map(len, came)) + 1))
    columns = foremost(range(len(came)), lambda t: max(abs(each.changes[t]) for each in rows), room)
    made = titled("", "without", "loss", "change", *(came[t] for t in columns))
    for each in rows:
        changes = (signed(each.changes[t]) for t in columns)
        add(made, each.name, f"{each.loss:.3f}", signed(each.change, 3), *changes)
    yield made
    counts = (len(rows), len(ablations), "rows"), (len(columns), len(came), "predictions")
    left_out = [f"{some} of {all} {what}" for some, all, what in counts if some < all]
    notes = [f"Shown are {', '.join(left_out)}, where the loss changes most: {MORE}."] if left_out else []
    has_positions = any(each.kind == "position" for each in ablations)
    yield Text("\n".join([*notes, NOTE if has_positions else f"{NOTE} {NO_VECTOR}"]), "dim")


def ablations(replay: Replay) -> Views[Ablation]:
    """Remove each head, attention, MLP and position, one at a time."""
    found = pieces(replay)
    rows = log_softmax(logits(replay, [{}, *(change for *_, change in found)]))
    nats = -np.take_along_axis(rows, np.array(replay.targets)[None, :, None], -1)[..., 0]
    changes, came = nats[1:] - nats[0], [replay.labels[i] for i in replay.targets]
    return Views(
        Ablation(name, kind, layer, index, float(own.mean()), float(change.mean()), change.tolist(), came)
        for (name, kind, layer, index, _), own, change in zip(found, nats[1:], changes, strict=True)
    )


def pieces(replay: Replay) -> list[tuple[str, str, int | None, int | None, Change]]:
    """List what can be removed: name, kind, layer, index, and the change that removes it."""
    found: list[tuple[str, str, int | None, int | None, Change]] = []
    heads = replay.model.heads
    for i in range(replay.model.layers):
        attention, mlp = f"layer{i}.attention", f"layer{i}.mlp"
        mixed = replay.inside.get(f"{attention}.mixed")
        if mixed is not None and mixed.shape[-1] % heads == 0:
            of = np.arange(mixed.shape[-1]) // (mixed.shape[-1] // heads)
            for h in range(heads):
                found.append((f"layer{i} head {h}", "head", i, h, {f"{attention}.mixed": (of != h, 0.0)}))
        if array(replay.inside[attention]).any():
            found.append((f"layer{i} attention", "attention", i, None, {attention: (0.0, 0.0)}))
        if array(replay.inside[mlp]).any():
            found.append((f"layer{i} MLP", "mlp", i, None, {mlp: (0.0, 0.0)}))
    embed = array(replay.inside["embed"])
    position = embed - array(replay.weights["wte"])[replay.ids] * replay.model.embed_scale
    if position.any():
        found.append(("all positions", "position", None, -1, {"embed": (1.0, -position)}))
        for t, row in enumerate(position):
            own = np.zeros_like(position)
            own[t] = row
            found.append((f"position {t}", "position", None, t, {"embed": (1.0, -own)}))
    return found
