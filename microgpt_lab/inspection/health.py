"""How a model is doing inside: its weights, gradients and updates, its activations, its loss by position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from microgpt_lab.core import diagnostics, floats
from microgpt_lab.core.backend import Batch
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.inspection.curves import Curve, curves, sparkline
from microgpt_lab.inspection.rendering import View, add, bar, number, titled
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.inspection.restored import restored

QUANTITIES = {
    "rms": "size of the residual stream (rms)",
    "dead": "share of hidden units that are always 0",
    "saturated": "share of hidden numbers where the activation is flat",
    "entropy": "entropy of attention weights, in nats",
}
NEARLY = 0.99  # share of the learning rate that counts as all of it
MOST = 1000  # pieces of documents of which the loss by position is the mean
UPDATES = "log10(update / weights): how much a step changes a matrix, −2 is 1 % (makemore, part 3)."


@dataclass(frozen=True)
class Matrix:
    """A weight matrix. None is not known, or not defined.

    weights, gradients: root mean squares.
    updates: log10(rms of a step / rms of weights).
    """

    name: str
    shape: tuple[int, ...]
    weights: float
    gradients: float | None
    updates: float | None


@dataclass(frozen=True)
class Activation:
    """A figure of the activations.

    quantity: "rms", "dead", "saturated" or "entropy": see QUANTITIES.
    place: "layer0.mlp", or "layer0.attention.head0".
    """

    quantity: str
    place: str
    value: float | None


@dataclass(frozen=True, repr=False)
class Health(View):
    """The health of a model.

    of: what gradients and activations are measured on.
    rate: the learning rate of the step that `updates` are of, as a share of the run's; None without updates.
    loss_by_position: mean cross-entropy of the first, second … prediction, in nats per token.
    curves: the figures that the run kept in training, by the names of microgpt_lab/core/diagnostics.py.
    """

    matrices: list[Matrix]
    activations: list[Activation]
    loss_by_position: list[float]
    curves: dict[str, Curve]
    of: str
    rate: float | None
    notes: list[str]

    def __rich__(self) -> Any:
        title = "Weights and gradients (rms), updates (log10)"
        weights = titled(title, "matrix", "shape", "weights", "gradient", "update", "in training")
        for each in self.matrices:
            size = "×".join(map(str, each.shape))
            figures = number(each.weights), number(each.gradients), number(each.updates, 3)
            add(weights, each.name, size, *figures, self.curve(f"updates/{each.name}"))
        inside = self.activations_by_layer()
        losses = titled("Loss by position, in nats per token", "", "", "")
        losses.show_header = False
        for i, loss in enumerate(self.loss_by_position):
            add(losses, str(i), f"{loss:.3f}", bar(loss / max(self.loss_by_position), 30))
        for column in (weights.columns[-1], losses.columns[-1], *inside.columns):
            column.justify = "left"
        legend = [f"{short}: {meaning}." for short, meaning in QUANTITIES.items()]
        return Group(weights, inside, losses, Text("\n".join([*legend, *self.notes]), "dim"))

    def activations_by_layer(self) -> Table:
        """Return a table with a row for each layer. Figures of several heads share a cell."""
        layers: dict[str, dict[str, list[Activation]]] = {}
        for each in self.activations:
            row = layers.setdefault(each.place.partition(".")[0], {})
            row.setdefault(each.quantity, []).append(each)
        kinds = [kind for kind in QUANTITIES if any(kind in row for row in layers.values())]
        table = titled("Activations", "", *kinds)
        for layer, row in sorted(
            layers.items(), key=lambda item: (item[0] != "embed", len(item[0]), item[0])
        ):
            add(table, layer, *(self.cell(row.get(kind, [])) for kind in kinds))
        return table

    def cell(self, figures: list[Activation]) -> str:
        if not figures:
            return ""
        if len(figures) > 1:
            known = [each.value for each in figures if each.value is not None]
            few = known if len(known) <= 4 else (min(known), max(known))
            return (" " if few is known else " to ").join(f"{x:.2f}" for x in few) or number(None)
        (each,) = figures
        numbers, curve = number(each.value, 3), self.curve(f"activations/{each.quantity}/{each.place}", 8)
        return f"{numbers:<7} {curve}" if curve else numbers

    def curve(self, name: str, width: int = 24) -> str:
        return sparkline(self.curves.get(name, []), width)


def health(replay: Replay, folder: Path | None = None) -> Health:
    """Measure a model on documents of its run, if they are at hand, otherwise on the replay's text alone."""
    kept, notes, trainer, rate = curves(folder) if folder else {}, [UPDATES], None, None
    try:
        trainer = restored(folder) if folder else None
    except UserError as error:
        notes.append(f"The run's documents are not at hand: {error}.")
    if trainer:
        (figures, of), losses, rate = measured(trainer), by_position(trainer), share_of_rate(trainer)
        notes.append(f"Gradients and updates are those of the next batch, the rest is measured on {of}.")
        if any(w.tolist() != trainer.weights[name].tolist() for name, w in replay.weights.items()):
            notes.append(
                "All this is of the run's last checkpoint, not of the one that the text went through."
            )
        if rate and rate < NEARLY:
            by = f"log10(update/weights) would be {-math.log10(rate):.1f} higher"
            notes.append(f"That step has {rate:.2g} of the run's learning rate. With all of it, {by}.")
    else:
        of = "this text alone"
        losses = [
            floats.logsumexp(row) - row[y] for row, y in zip(replay.logits, replay.targets, strict=True)
        ]
        last = {name: curve[-1][1] for name, curve in kept.items() if name.startswith("updates/")}
        figures = of_text(replay) | last
        notes.append(f"Measured on {of}: a unit that is 0 here may not be dead.")
        notes.append(f"Updates: {'the last that training measured' if last else 'not known'}.")
    if not any(name.startswith("updates/") for name in kept):
        notes.append("The run kept no curves: callback=[…,diagnostics] keeps them.")
    return Health(matrices(replay, figures), activations(figures), losses, kept, of, rate, notes)


def measured(trainer: Trainer) -> tuple[diagnostics.Figures, str]:
    """Measure a trainer's next step, and its activations on held-out documents, and say on how many."""
    most = min(diagnostics.DOCUMENTS, max(1, diagnostics.TOKENS // trainer.longest))
    pieces = len(trainer.pieces(trainer.held_out[:most])[:most])
    split = "validation" if trainer.corpus.validation else "training"
    kind = "windows" if trainer.corpus.stream else "documents"
    return diagnostics.diagnose(trainer, trainer.backend), f"{pieces} {split} {kind}"


def of_text(replay: Replay) -> diagnostics.Figures:
    """Measure weights, the gradients of the text's loss, and the activations on the text."""
    figures = diagnostics.activations(replay.model, replay.inside)
    for name, w in replay.weights.items():
        figures[f"weights/{name}"] = diagnostics.rms(w)
        if replay.has_gradients:
            figures[f"gradients/{name}"] = math.hypot(*(x.grad for x in w.data)) / math.sqrt(len(w.data))
    return figures


def matrices(replay: Replay, figures: diagnostics.Figures) -> list[Matrix]:
    found = []
    for name, w in replay.weights.items():
        kinds = ("gradients", "updates")
        others = (finite(figures.get(f"{kind}/{name}")) for kind in kinds)
        found.append(Matrix(name, w.shape, figures[f"weights/{name}"], *others))
    return found


def activations(figures: diagnostics.Figures) -> list[Activation]:
    names = [name.split("/", 2)[1:] for name in figures if name.startswith("activations/")]
    return [
        Activation(kind, place, finite(figures[f"activations/{kind}/{place}"]))
        for wanted in QUANTITIES
        for kind, place in names
        if kind == wanted
    ]


def finite(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None


def share_of_rate(trainer: Trainer) -> float | None:
    """The learning rate of the step that `diagnose` measures, as a share of the run's."""
    _, lr, _ = diagnostics.next_inputs(trainer)
    return lr / trainer.optimizer.lr if trainer.optimizer.lr else None


def by_position(trainer: Trainer) -> list[float]:
    """Return the mean loss of each position over the held-out documents."""
    pieces, height = trainer.pieces(trainer.held_out)[:MOST], trainer.eval_batch_size
    nats, count = np.zeros(trainer.model.block_size), np.zeros(trainer.model.block_size)
    for start in range(0, len(pieces), height):
        tokens, context = zip(*pieces[start : start + height], strict=True)
        batch = Batch(tokens, trainer.longest, mean=False, context=context)
        for block in trainer.backend.blocks(batch):
            losses = np.array(trainer.model.nll(trainer.weights, block.ids, block.targets).data)
            counted = np.array(block.loss_weight.data)
            nats[: losses.shape[1]] += (losses * counted).sum((0, 2))
            count[: losses.shape[1]] += counted.sum((0, 2))
    return [float(x / n) for x, n in zip(nats, count, strict=True) if n]
