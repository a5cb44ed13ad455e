"""Logit attribution: each logit as a sum of what embeddings, heads and MLPs add to the residual stream.

The output matrix reads a sum of vectors, so that a logit is a sum too: of the token's embedding, its
position, what each head brought from each token, and each MLP (Elhage et al., 2021). These are direct
effects: what a later layer makes of an earlier one's output counts for the later layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from microgpt_lab.inspection.direct import carry
from microgpt_lab.inspection.rendering import MORE, MOST_ROWS, View, add, foremost, signed, titled
from microgpt_lab.inspection.replay import Replay, Rows
from microgpt_lab.inspection.terms import Term, added, names_of_held, starts


@dataclass(frozen=True)
class Entry:
    """A term of the sum.

    kind: "token" (its embedding), "position", "head" (what it brought from the token `source`), "mlp",
        "neuron" (`source` is its number), "attention" (what no head brought from a token: biases, or all
        where there is no pattern), or "rest" (biases of norms).
    layer, head, source: where it comes from; None where that has no meaning.
    logits: what it adds to each logit, (T, vocab_size), less the mean over the vocabulary.
    """

    name: str
    kind: str
    layer: int | None
    head: int | None
    source: int | None
    logits: Rows


@dataclass(frozen=True, repr=False)
class Attribution(View):
    """The logits of each prediction as a sum of entries.

    labels: of the tokens of the vocabulary.
    read, came: the tokens that were read, and that came next.
    logits: the model's, (T, vocab_size), less the mean over the vocabulary. They are the sum of the entries.
    difference: the largest between a logit and its sum: rounding.
    held: names of the norms, and of a cap of the logits, that are not linear: their scale is held fixed.
    linear: for the embeddings, then attention and MLP of each layer, whether nothing is held between their
        entries and the logits.
    """

    labels: Sequence[str]
    read: list[int]
    came: list[int]
    probabilities: Rows
    logits: Rows
    entries: list[Entry]
    difference: float
    held: list[str]
    linear: list[bool]
    note: str

    def __rich__(self) -> Any:
        """Show the prediction that was the largest surprise."""
        right = [row[y] for row, y in zip(self.probabilities, self.came, strict=True)]
        return self.table(right.index(min(right)))

    def table(self, t: int) -> Any:
        """Return the sums of a prediction: for the token that came, and for the likeliest."""
        row, came = self.probabilities[t], self.came[t]
        tokens = list(dict.fromkeys([came, row.index(max(row))]))
        if not self.entries:
            return Text(self.note)
        before = "".join(self.labels[i] for i in self.read[: t + 1])
        titles = [f"{self.labels[c]} ({row[c]:.1%})" for c in tokens]
        made = titled("", f"after “{before}”", *titles, "from each token")
        made.columns[-1].justify = "left"
        named = self.by_name()
        sums = {
            name: [sum(e.logits[t][c] for e in entries) for c in tokens] for name, entries in named.items()
        }
        most = len(named) if len(named) <= MOST_ROWS else MOST_ROWS - 1
        rows = foremost([*named], lambda name: max(map(abs, sums[name])), most)
        for name in rows:
            add(made, name, *map(signed, sums[name]), self.sources(t, came, named[name]))
        if rest := [sums[name] for name in named if name not in rows]:
            add(made, f"{len(rest)} smaller ones", *(signed(sum(x)) for x in zip(*rest)), MORE)
        add(made, "logit, less the mean", *(signed(self.logits[t][c]) for c in tokens), style="bold")
        return Group(made, Text(self.note, "dim"))

    def by_name(self) -> dict[str, list[Entry]]:
        """Return the entries by name. A head has one for each token that it reads."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.name, []).append(entry)
        return found

    def sources(self, t: int, token: int, entries: list[Entry]) -> Text:
        """Return what a head brought to one logit from each token up to t, less what rounds to 0."""
        text = Text()
        for entry in entries if entries[0].kind == "head" else ():
            share = signed(entry.logits[t][token])
            if (s := entry.source) is not None and share.plain != "0":
                text.append(f"{self.labels[self.read[s]]} ", "dim").append_text(share).append("  ")
        return text


def attribution(replay: Replay, *, neurons: bool = False) -> Attribution:
    """Split the logits of a replay into what each part adds to them directly.

    neurons: split MLPs into their hidden units.

    A replay without gradients has no graph to follow: there are no entries, and the note says so.
    """
    logits = np.array(replay.logits)
    logits -= logits.mean(1, keepdims=True)
    known = replay.labels, replay.ids, replay.targets, replay.probabilities, logits.tolist()
    if not replay.has_gradients:
        linear = [False] * (1 + 2 * replay.model.layers)
        return Attribution(*known, [], 0.0, [], linear, f"There are no sums: {replay.notes[-1]}.")
    found, root = list(added(replay, neurons=neurons)), replay.inside["logits"]
    shares = carry(root, starts(found))
    terms = [term for each in found for term in each.terms]
    sums = shares.of(root.data).reshape(*logits.shape, len(terms))
    sums -= sums.mean(1, keepdims=True)
    rest = logits - sums.sum(-1)
    if np.abs(rest).max() > 1e-10 * np.abs(logits).max():
        terms, sums = [*terms, Term("rest", "rest")], np.concatenate([sums, rest[..., None]], -1)
    difference = float(np.abs(sums.sum(-1) - logits).max())
    entries = [Entry(*term, sums[..., k].tolist()) for k, term in enumerate(terms) if sums[..., k].any()]
    reached = set().union(*(each.starts for each in shares.held))
    linear = [i not in reached and not each.held for i, each in enumerate(found)]
    held = names_of_held(replay, found, shares)
    note = note_of(held, all(linear[1:]), difference)
    if terms[-1].kind == "rest":
        note += " Rest: what none of these adds, such as the biases of norms."
    return Attribution(*known, entries, difference, held, linear, note)


def note_of(held: list[str], is_linear: bool, difference: float) -> str:
    """Say how to read the sums."""
    adds_up = f"the sums equal the logits{f' to {difference:.0e}' if difference else ''}"
    if not held:
        return f"Exact: logits are linear in what each part adds; {adds_up}."
    scales = f"the scale of {', '.join(held)} held as it is"
    if is_linear:
        linear = f"Exact: logits are linear in what attention and MLPs add; {adds_up}."
        return f"{linear} Token and position: with {scales}."
    return f"With {scales}, {adds_up}. What a part does to these scales is not counted."
