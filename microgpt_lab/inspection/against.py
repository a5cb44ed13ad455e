"""Two runs side by side: the same text, the largest differences first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from rich.console import Group
from rich.text import Text

from microgpt_lab.inspection.expected import Prediction, expected
from microgpt_lab.inspection.rendering import View, add, signed, titled
from microgpt_lab.inspection.replay import Replay


@dataclass(frozen=True)
class Difference:
    """What two models expected of a piece of a text, between two ends of tokens that both have.

    context: the text before. came: the piece; one token where both have the same.
    nats: of the first and of the second model. change: the second less the first.
    first, second: the predictions, one or more tokens each.
    """

    context: str
    came: str
    nats: tuple[float, float]
    change: float
    first: list[Prediction]
    second: list[Prediction]


@dataclass(frozen=True, repr=False)
class Against(View):
    """Two models on the same text.

    nats: of the text that both have predicted, in all. change: the second less the first.
    differences: of the pieces, the largest change first.
    note: what differs in how they read the text. Empty if they read the same tokens.
    """

    nats: tuple[float, float]
    change: float
    differences: list[Difference]
    note: str

    def __rich__(self) -> Any:
        made = titled("", "after", "came", "first", "second", "change", "first expected", "second expected")
        for each in self.differences:
            guesses = (likeliest(predictions) for predictions in (each.first, each.second))
            cells = Text(each.context[-20:], "dim"), Text(each.came, "bold"), *map("{:.2f}".format, each.nats)
            add(made, *cells, signed(each.change), *guesses)
        whole = Text("in all", "bold"), "", *map("{:.2f}".format, self.nats), signed(self.change)
        add(made, *whole, "", "")
        return Group(made, Text(self.note, "dim"))


def against(first: Replay, second: Replay) -> Against:
    """Compare two replays of the same text, whose tokens may differ."""
    both = expected(first), expected(second)
    found = [
        Difference("".join(a[0].context), "".join(x.came for x in a), nats, nats[1] - nats[0], a, b)
        for a, b in aligned(*both)
        for nats in [(sum(x.nats for x in a), sum(x.nats for x in b))]
    ]
    found.sort(key=lambda each: -abs(each.change))
    nats = sum(each.nats[0] for each in found), sum(each.nats[1] for each in found)
    return Against(nats, nats[1] - nats[0], found, note_of(first, second, *both))


def aligned(
    first: list[Prediction], second: list[Prediction]
) -> Iterator[tuple[list[Prediction], list[Prediction]]]:
    """Yield the predictions of two models, in pieces between the ends of tokens that both have.

    They are aligned by the text of their labels, as far as it is the same.
    """
    ends = [list(accumulate(len(each.came) for each in side)) for side in (first, second)]
    common, done = sorted(set(ends[0]) & set(ends[1])), (0, 0)
    texts = ["".join(each.came for each in side) for side in (first, second)]
    for end in common:
        stops = ends[0].index(end) + 1, ends[1].index(end) + 1
        if texts[0][:end] != texts[1][:end]:
            return
        yield first[done[0] : stops[0]], second[done[1] : stops[1]]
        done = stops


def note_of(first: Replay, second: Replay, *predictions: list[Prediction]) -> str:
    """Say what differs in how two models read the text."""
    texts = ["".join(each.came for each in side) for side in predictions]
    if texts[0] != texts[1]:
        return "One lacks characters, or has a shorter block: compared up to there."
    if [each.came for each in predictions[0]] != [each.came for each in predictions[1]]:
        return "Their tokens differ: compared between ends of tokens that both have."
    return ""


def likeliest(predictions: list[Prediction]) -> Text:
    """Return the likeliest tokens of a single prediction."""
    if len(predictions) != 1:
        return Text(f"{len(predictions)} tokens", "dim")
    came = predictions[0].came
    return Text(" ").join(
        Text(f"{label} {p:.0%}", "green" if label == came else "")
        for label, p in predictions[0].likeliest[:3]
    )
