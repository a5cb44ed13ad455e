"""Explain one number of a replay: how it was made, and where its gradient comes from.

>>> explain(emma, "layer0.attention.wq:2:5").uses[0].by_prediction  # doctest: +SKIP
(0.0031..., -0.0012..., ...)
"""

from __future__ import annotations

import math

from microgpt_lab.core.autograd import Value
from microgpt_lab.inspection.names import Names
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.inspection.source import made_by
from microgpt_lab.inspection.statement import Ledger, Number, Parent, Use
from microgpt_lab.tensors.dot import Dot

CONSTANT = "a constant"  # the name of a number that no named tensor has


def explain(replay: Replay, name: str) -> Ledger:
    """Explain the number of this name: layer0.attention.wq:2:5, wq[2,5], wte:e:3. UserError if none is."""
    names = Names(replay)
    tensor, place = names.number(name)
    value, own = names.tensors[tensor].data[place], names.format(tensor, place)
    predictions = tuple(
        f"{replay.labels[i]}→{replay.labels[target]}" for i, target in zip(replay.ids, replay.targets)
    )
    if not isinstance(value, Value):
        why = "A constant has no gradient." if replay.has_gradients else f"{replay.no_gradients}."
        return Ledger((own,), float(value), 0.0, "", "", (), (), (), predictions, why)
    maker = names.makers.get(id(value))
    uses = uses_of(replay, names, value)
    return Ledger(
        names=(own, *(other for other in names.of(value) if other != own)),
        data=value.data,
        grad=value.grad,
        op=maker.op if maker else "",
        made_by=made_by(maker) if maker else "",
        parents=() if isinstance(value, Dot) else parents_of(names, value),
        pairs=pairs_of(names, value) if isinstance(value, Dot) else (),
        uses=uses,
        predictions=predictions,
        note=note(replay, value, uses),
    )


def facts(names: Names, value: Value) -> tuple[str, str, float, float]:
    """The fields of a Number."""
    maker = names.makers.get(id(value))
    name = next(iter(names.of(value, 1)), CONSTANT)
    return name, maker.op if maker else "", value.data, value.grad


def parents_of(names: Names, value: Value) -> tuple[Parent, ...]:
    """What a number was computed from. A parent that it has twice, as in x * x, comes twice."""
    return tuple(Parent(*facts(names, p), slope) for p, slope in zip(value.parents, value.local_grads))


def pairs_of(names: Names, dot: Dot) -> tuple[tuple[Number, Number], ...]:
    """The factors of a dot product, pair by pair."""
    return tuple((Number(*facts(names, x)), Number(*facts(names, y))) for x, y in zip(dot.left, dot.right))


def uses_of(replay: Replay, names: Names, value: Value) -> tuple[Use, ...]:
    """What was computed from a number, on the way to the loss."""
    found: list[tuple[Value, float]] = []
    for tensor in replay.users(value):
        for child in tensor.data:
            slopes = [slope for p, slope in zip(child.parents, child.local_grads) if p is value]
            if slopes:
                found.append((child, sum(slopes)))
    by_prediction = replay.gradients_by_prediction([child for child, _ in found])
    if found and found[0][0] is replay.loss.data[0]:  # whose gradient is 1 in the share of each prediction
        by_prediction = [[float(value is share) for share in replay.shares.data]]
    return tuple(
        Use(*facts(names, child), slope, tuple(slope * g if g else 0.0 for g in grads))
        for (child, slope), grads in zip(found, by_prediction, strict=True)
    )


LEFT_OUT = {
    "take": "no token of this text looks up its row",
    "causal": "the causal mask hides it: its token lies ahead, or outside of the window",
    "by_distance": "no two tokens of this text have its distance",
    "[:]": "it lies outside of the slice",
    "where": "`where` selected the other number",
}


def note(replay: Replay, value: Value, uses: tuple[Use, ...]) -> str:
    if value is replay.loss.data[0]:
        return "The backward pass begins here, with gradient 1."
    return "" if value.grad else f"Its gradient is 0: {reason(replay, value, uses)}."


def reason(replay: Replay, value: Value, uses: tuple[Use, ...]) -> str:
    """Say why a gradient is 0."""
    if value.data == -math.inf:
        return (
            "masked: its token lies ahead, or outside of the window, so it has no weight whatever its score"
        )
    if not uses:
        views = [x for x in replay.tensors if x.is_view and any(value in p.data for p in x.parents)]
        left_out = [replay.origins[id(x)].op for x in views if value not in x.data]
        known = next((LEFT_OUT[op] for op in left_out if op in LEFT_OUT), "")
        return known or "the loss does not depend on it: nothing was computed from it"
    if not any(use.derivative for use in uses):
        if all(use.op == "@" for use in uses):
            return "the numbers that it is multiplied by are 0"
        return f"the derivative of what was computed from it ({uses[0].op}) is 0 here"
    if not any(use.grad for use in uses):
        return f"what was computed from it has gradient 0 itself: {uses[0].name}"
    return "what its uses add cancels"
