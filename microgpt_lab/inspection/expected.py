"""The prediction of each token, and the logit lens: the predictions after each part of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from microgpt_lab.core import floats
from microgpt_lab.inspection.attribution import Attribution, attribution
from microgpt_lab.inspection.rendering import MORE, Fitted, View, Views, add, bar, titled
from microgpt_lab.inspection.replay import Replay, Rows
from microgpt_lab.inspection.reruns import Change, log_softmax, logits

LIKELIEST = 5
WIDEST = 20  # characters of the context in a table
EQUAL = 1e-9  # largest difference between logits that counts as rounding


@dataclass(frozen=True, repr=False)
class Prediction(View):
    """What a model expected after some tokens.

    context: labels of the tokens that it had read.
    came: the label of the token that came next.
    probability, nats: of that token, and -log of it.
    rank: 1 if it was the likeliest.
    likeliest: labels and probabilities of the five likeliest tokens.
    """

    context: list[str]
    came: str
    probability: float
    nats: float
    rank: int
    likeliest: list[tuple[str, float]]

    def __rich__(self) -> Any:
        return self.together(Views([self]))

    @staticmethod
    def together(predictions: Views[Prediction]) -> Any:
        made = titled("", "after", "came", "p", "nats", "", "rank", "expected")
        made.columns[4].justify = made.columns[6].justify = "left"
        for each in predictions:
            before = Text("".join(each.context)[-WIDEST:], "dim")
            guesses = Text("  ").join(
                Text(f"{label} {p:.0%}", "green" if label == each.came else "") for label, p in each.likeliest
            )
            numbers = f"{each.probability:.1%}", f"{each.nats:.2f}", bar(each.nats / 5), str(each.rank)
            add(made, before, Text(each.came, "bold"), *numbers, guesses)
        return made


def expected(replay: Replay) -> Views[Prediction]:
    """Return each prediction of a replay."""
    labels, found = replay.labels, Views[Prediction]()
    for t, (row, p, came) in enumerate(zip(replay.logits, replay.probabilities, replay.targets, strict=True)):
        order = sorted(range(len(p)), key=lambda c: -row[c])
        found.append(
            Prediction(
                context=[labels[i] for i in replay.ids[: t + 1]],
                came=labels[came],
                probability=p[came],
                nats=floats.logsumexp(row) - row[came],
                rank=1 + sum(x > row[came] for x in row),
                likeliest=[(labels[c], p[c]) for c in order[:LIKELIEST]],
            )
        )
    return found


@dataclass(frozen=True, repr=False)
class Lens(View):
    """Predictions at each depth: as if everything after a place added 0 to the residual stream.

    It is the output matrix, applied to the residual stream there (nostalgebraist, 2020), after the norms that
    follow, if any.

    labels: of the tokens of the vocabulary.
    read, came: the tokens that were read, and that came next.
    places: "embedding", then attention and MLP of each layer.
    probabilities: (places, T, vocab_size). The last are the model's own.
    exact: whether the logits of each place are the sum of what was added up to there, as in `attribution`.
        Otherwise a norm scales the residual stream there by more, or less, than at the end.
    difference: the largest between these.
    """

    labels: Sequence[str]
    read: list[int]
    came: list[int]
    places: list[str]
    probabilities: list[Rows]
    exact: bool
    difference: float
    note: str

    def __rich__(self) -> Any:
        return Fitted(self.table)

    def table(self, width: int) -> Any:
        """Return a table of as many places as fit: the first, the last, and some between them."""
        before = [
            "".join(self.labels[i] for i in self.read[: t + 1])[-WIDEST:] for t in range(len(self.read))
        ]
        cells = [
            [self.cell(rows[t], came) for t, came in enumerate(self.came)] for rows in self.probabilities
        ]
        widths = [
            max(len(place), *(cell.cell_len for cell in column)) + 1
            for place, column in zip(self.places, cells, strict=True)
        ]
        room, last = width - max(map(cell_len, ["after", *before])) - len(" came "), len(self.places) - 1
        for count in range(len(self.places), 1, -1):
            columns = [round(last * k / (count - 1)) for k in range(count)]
            if sum(widths[k] for k in columns) <= room:
                break
        made = titled("", "after", "came", *(self.places[k] for k in columns))
        for t, came in enumerate(self.came):
            row = (cells[k][t] for k in columns)
            add(made, Text(before[t], "dim"), Text(self.labels[came], "bold"), *row)
        left_out = f"Shown are {len(columns)} of {last + 1} places: {MORE}.\n" if len(columns) <= last else ""
        return Group(made, Text(f"{left_out}{self.note}", "dim"))

    def cell(self, probabilities: list[float], came: int) -> Text:
        """Return the likeliest token with its probability, and in brackets that of the token that came."""
        best = probabilities.index(max(probabilities))
        guess = Text(f"{self.labels[best]} {probabilities[best]:.0%}", "green" if best == came else "")
        return guess.append(f" ({probabilities[came]:.0%})", "dim")


def lens(replay: Replay, explained: Attribution | None = None) -> Lens:
    """Compute the predictions at each depth. `explained`: the replay's attribution, if it is known."""
    explained = explained or attribution(replay)
    layers = range(replay.model.layers)
    parts = [f"layer{i}.{kind}" for i in layers for kind in ("attention", "mlp")]
    places = ["embedding", *(name.replace(".mlp", " MLP").replace(".", " ") for name in parts)]
    changes: list[Change] = [dict.fromkeys(parts[k:], (0.0, 0.0)) for k in range(len(parts))]
    early = logits(replay, changes)
    probabilities = [*np.exp(log_softmax(early)).tolist(), replay.probabilities]
    difference = float(np.abs(early - early.mean(-1, keepdims=True) - sums_up_to(replay, explained)).max())
    exact = bool(explained.entries) and difference < EQUAL
    inner = ("embed_norm", *(f"{name}.mixed" for name in parts))  # not on the way from a place to the logits
    scales = ", ".join(name for name in explained.held if name not in inner) or "what follows"
    if exact:
        note = "Exact: the logits of each place are the sum of what was added up to there."
    elif explained.entries:
        note = f"An approximation: the scale of {scales} there is not that at the end."
    else:
        note = "It is not known how good an approximation that is: there are no sums to compare it with."
    note = f"As if everything after the place added 0. {note}"
    return Lens(replay.labels, replay.ids, replay.targets, places, probabilities, exact, difference, note)


def sums_up_to(replay: Replay, explained: Attribution) -> np.ndarray:
    """Return the sums of the entries up to each place but the last, (places - 1, T, vocab_size)."""
    steps = np.zeros((1 + 2 * replay.model.layers, len(replay), replay.model.vocab_size))
    for entry in explained.entries:
        place = 0 if entry.layer is None else 2 * entry.layer + (2 if entry.kind in ("mlp", "neuron") else 1)
        steps[place] += np.array(entry.logits)
    return steps.cumsum(0)[:-1]
