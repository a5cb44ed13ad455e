"""What a run has to remember to go on exactly, and what must not have changed meanwhile."""

from __future__ import annotations

from array import array
from typing import Any, TypedDict

import msgspec

from microgpt_lab.core.divergence import finite
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import Changed
from microgpt_lab.options.files import deeper_than, msgspec_message
from microgpt_lab.options.overrides import differing_keys
from microgpt_lab.options.untrusted import DEEPEST
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import Saved
from microgpt_lab.run.folder import Figure, Step

# Of environment.json, what decides the numbers of a run.
GROUND = ("documents_sha256", "parts", "core", "packages", "python")


class Facts(TypedDict):
    """What a checkpoint says beside its numbers."""

    step: Step
    config: dict[str, Any]
    callbacks: dict[str, Any]
    chars: list[str]
    rng: tuple[int, list[int], float | None]
    tensors: dict[str, Any]
    seconds: Figure
    resumed: list[Step]
    stopped: bool


def capture(trainer: Trainer, **facts: Any) -> bytes:
    """The content of a checkpoint: weights, optimizer, step, generator; the data's order follows."""
    corpus = trainer.corpus
    facts |= {"step": trainer.step, "chars": corpus.chars, "rng": corpus.rng.getstate()}
    return checkpoint.encode(facts, {"weights": trainer.weights, "optimizer": trainer.carry[1]})


def check(saved: Saved) -> None:
    """Changed if these are not the facts of a run."""
    try:
        msgspec.convert(saved.facts, Facts)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair in a key
        raise Changed(f"{saved.name} is no checkpoint of a run: {msgspec_message(error)}") from None
    if deeper_than(saved.facts["config"], DEEPEST):
        raise Changed(f"{saved.name} is no checkpoint of a run: its configuration is too deep")


def restore(trainer: Trainer, saved: Saved, *, optimizer: bool = True) -> None:
    """Set a newly made trainer to where the checkpoint was captured; the optimizer too, if it is the same
    one and its options give its state the same form.
    """
    facts, numbers = saved.facts, iter(saved.numbers)
    try:
        forms, tensor = facts["tensors"], trainer.backend.tensor
        weights = checkpoint.tree(forms["weights"], numbers, tensor)
        if facts["chars"] != trainer.corpus.chars:
            raise Changed("the checkpoint has another vocabulary")
        if {n: tuple(w.shape) for n, w in weights.items()} != trainer.packing.shapes:
            raise Changed("the checkpoint's weights do not fit a model of this configuration")
        if not finite(weights):
            raise Changed("the checkpoint's weights are not finite, or beyond 1e77")
        state = trainer.carry[1]
        if optimizer and fits(forms["optimizer"], checkpoint.form(state, array("d"))):
            state = checkpoint.tree(forms["optimizer"], numbers, tensor, like=state)
        version, internal, gauss = facts["rng"]
        trainer.corpus.rng.setstate((version, tuple(internal), gauss))
        trainer.carry, trainer.step = (trainer.packing.pack(weights), state), facts["step"]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Changed(f"{saved.name} is no checkpoint of this run: {type(error).__name__} {error}") from None


def fits(form: Any, other: Any) -> bool:
    """Whether two forms of tensors have the same places and shapes; numbers may differ."""
    if isinstance(form, dict) and isinstance(other, dict):
        return form.keys() == other.keys() and all(fits(form[name], other[name]) for name in form)
    if isinstance(form, list) and isinstance(other, list):
        return len(form) == len(other) and all(map(fits, form, other))
    return form == other or (isinstance(form, (int, float)) and isinstance(other, (int, float)))


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two configurations or environments, a line each."""
    found = []
    for key, (old, new) in differing_keys(then, now).items():
        show = short if short(old) != short(new) else repr  # '16' is not 16
        found.append(f"{key} was {show(old)}, is {show(new)}")
    return found


def ground(environment: dict[str, Any]) -> dict[str, Any]:
    return {key: environment.get(key) for key in GROUND}


def short(value: Any) -> str:
    text = str(value).partition("\n")[0]
    return text if len(text) <= 40 else f"{text[:12]}…"
