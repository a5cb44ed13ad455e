"""Attention patterns, and what each look did to the logit of the token that came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from microgpt_lab.core import floats
from microgpt_lab.inspection.ablation import Ablation, ablations
from microgpt_lab.inspection.attribution import Attribution, attribution
from microgpt_lab.inspection.rendering import MORE, Fitted, View, Views, foremost, shade, signed
from microgpt_lab.inspection.replay import Replay, Rows

SHADED = "A row for each token, which looks at the columns: ░ from 2 %, ▒ 25 %, ▓ 50 %, █ 75 % of its weight."
MOST, MOST_LINES = 8, 80  # patterns, and lines of them, side by side as far as they fit
SUM = 1e-9  # how far from 1 the weights of a token may sum


@dataclass(frozen=True, repr=False)
class Head(View):
    """An attention head.

    read: labels of the T tokens, which look at each other.
    pattern: weights (T, T), row t for the token at t. None if the attention names none.
    adds: what each look adds to the logit of the token that came, less the mean over the vocabulary, (T, T).
    exact: whether the logits are linear in `adds`. Otherwise the scale of a norm is held: see `Attribution`.
    without: change of the loss without the head (see `ablation`). None if it cannot be removed.
    note: what a reader should know. Empty where the weights are a softmax, and `adds` exact.
    """

    layer: int
    head: int
    read: list[str]
    pattern: Rows | None
    adds: Rows | None
    exact: bool
    without: float | None
    note: str

    def __rich__(self) -> Any:
        return Group(self.drawn(), Text(self.note, "dim"))

    def drawn(self, cell: int = 2) -> Text:
        """Return the pattern in shades, a weight in `cell` characters, and beside each row what adds most."""
        text = Text(f"layer {self.layer} head {self.head}\n", "bold")
        labels = [f"{label[:cell]:<{cell}}" for label in self.read]
        if self.pattern is None:
            return text
        text.append(f"{' ' * cell} {''.join(labels)}  adds most\n", "dim")
        for t, row in enumerate(self.pattern):
            text.append(f"{labels[t]} ", "dim")
            for weight in row[: t + 1]:
                text.append_text(shade(weight, cell))
            text.append(" " * cell * (len(row) - t))
            if self.adds is not None:
                s = max(range(t + 1), key=lambda s: abs(self.adds[t][s]))  # type: ignore[index]
                text.append(f"{labels[s]} ", "dim").append_text(signed(self.adds[t][s]))
            text.append("\n")
        text.rstrip()
        return text

    @staticmethod
    def together(heads: Views[Head]) -> Any:
        """Return the heads that matter most, side by side as far as they fit, and each note once."""
        notes = [*dict.fromkeys(head.note for head in heads if head.note)]
        return Fitted(lambda width: Group(*shown(heads, width, notes)))


def shown(heads: Views[Head], width: int, notes: list[str]) -> Iterator[Any]:
    """Yield the patterns that fit into so many columns, and what to know about them."""
    cell = 2 if columns_of(heads[0], 2) <= width else 1
    wide, T = columns_of(heads[0], cell), len(heads[0].read)
    if not any(head.pattern for head in heads):
        most = 0
    elif wide > width:
        most, notes = 0, [f"A pattern of {T} tokens does not fit into {width} columns: {MORE}.", *notes]
    else:
        rows = max(1, MOST_LINES // (T + 2))
        most, notes = min(MOST, rows * max(1, width // (wide + 1))), [SHADED, *notes]
    drawn = foremost(heads, lambda head: abs(head.without or 0.0), most)
    if 0 < len(drawn) < len(heads):
        rest = f"the {len(drawn)} of {len(heads)} heads without which the loss changes most"
        notes = [f"Shown are {rest}: {MORE}, and --print layer0.attention.pattern those of a layer.", *notes]
    if drawn:
        yield Columns([Padding(head.drawn(cell), (0, 2, 0, 0)) for head in drawn])
    yield Text("\n".join(notes), "dim")


def columns_of(head: Head, cell: int) -> int:
    """The columns of a pattern, and of what stands beside it."""
    return cell * (len(head.read) + 1) + len("   adds most") + 2


def heads(
    replay: Replay, explained: Attribution | None = None, removed: Views[Ablation] | None = None
) -> Views[Head]:
    """Return the heads of all layers.

    explained, removed: attribution and ablations of the replay, if they are known already.
    """
    explained, removed = explained or attribution(replay), removed or ablations(replay)
    without = {(each.layer, each.index): each.change for each in removed if each.kind == "head"}
    read = [replay.labels[i] for i in replay.ids]
    T, found = len(replay), Views[Head]()
    adds: dict[tuple[int | None, int | None], Rows] = {}
    for entry in explained.entries:
        if entry.kind == "head" and entry.source is not None:
            rows = adds.setdefault((entry.layer, entry.head), [[0.0] * T for _ in range(T)])
            for t, came in enumerate(replay.targets):
                rows[t][entry.source] = entry.logits[t][came]
    for layer in range(replay.model.layers):
        name = f"layer{layer}.attention"
        exact = explained.linear[2 * layer + 1]
        if (pattern := replay.inside.get(f"{name}.pattern")) is None:
            note = f"{name} names no tensor 'pattern', so there is none to show."
            found += [
                Head(layer, h, read, None, None, False, without.get((layer, h)), note)
                for h in range(replay.model.heads)
            ]
            continue
        rows, about = pattern.tolist(), note_of(replay, name, exact, (layer, 0) in adds)
        for h in range(pattern.shape[0]):
            own = rows[h * T : (h + 1) * T]
            at = layer, h
            found.append(Head(layer, h, read, own, adds.get(at), exact, without.get(at), about))
    return found


def note_of(replay: Replay, name: str, exact: bool, has_adds: bool) -> str:
    """Say what a pattern is, if no softmax, and how far its contributions are exact."""
    rows, scores = replay.inside[f"{name}.pattern"].tolist(), replay.inside.get(f"{name}.scores")
    notes = []
    if min(map(min, rows)) < 0:
        notes.append(f"{name}: some weights are negative, so the pattern is no distribution.")
    elif any(abs(sum(row) - 1) > SUM for row in rows):
        notes.append(f"{name}: the weights of a token do not add up to 1.")
    elif scores is None or rows != [floats.softmax(row) for row in scores.tolist()]:
        notes.append(f"{name}: weights that add up to 1, but no softmax of scores.")
    if not has_adds:
        why = "no product of the pattern with values" if replay.has_gradients else replay.notes[-1]
        notes.append(f"{name}: it is not known what a look adds: {why}.")
    elif not exact:
        notes.append(f"{name}: what a look adds, with the scales of norms held as they are.")
    return " ".join(notes)
