"""What a run has to remember to go on exactly, and what must not have changed meanwhile."""

from __future__ import annotations

from typing import Any

from microgpt_lab import checkpoint
from microgpt_lab.checkpoint import Saved
from microgpt_lab.errors import UserError
from microgpt_lab.results import flattened
from microgpt_lab.trainer import Trainer

# Of environment.json, what decides the numbers of a run.
GROUND = ("documents_sha256", "parts", "core", "packages", "python")


def capture(trainer: Trainer, **facts: Any) -> bytes:
    """The content of a checkpoint: weights, optimizer, step, generator; the data's order follows."""
    corpus = trainer.corpus
    facts |= {"step": trainer.step, "chars": corpus.chars, "rng": corpus.rng.getstate()}
    return checkpoint.encode(facts, {"weights": trainer.weights, "optimizer": trainer.carry[1]})


def restore(trainer: Trainer, saved: Saved, *, optimizer: bool = True) -> None:
    """Set a newly made trainer to where the checkpoint was captured; the optimizer too, if it is the same."""
    facts, numbers = saved.facts, iter(saved.numbers)
    try:
        forms, tensor = facts["tensors"], trainer.backend.tensor
        weights = checkpoint.tree(forms["weights"], numbers, tensor)
        if facts["chars"] != trainer.corpus.chars:
            raise UserError("the checkpoint has another vocabulary")
        if {n: tuple(w.shape) for n, w in weights.items()} != trainer.packing.shapes:
            raise UserError("the checkpoint's weights do not fit a model of this configuration")
        state = trainer.carry[1]
        if optimizer:
            state = checkpoint.tree(forms["optimizer"], numbers, tensor, like=state)
        version, internal, gauss = facts["rng"]
        trainer.corpus.rng.setstate((version, tuple(internal), gauss))
        trainer.carry, trainer.step = (trainer.packing.pack(weights), state), facts["step"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{saved.name} is no checkpoint of this run: {type(error).__name__} {error}"
        ) from None


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two configurations or environments, a line each."""
    before, after = dict(flattened(then)), dict(flattened(now))
    return [
        f"{key} was {short(before.get(key))}, is {short(after.get(key))}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def ground(environment: dict[str, Any]) -> dict[str, Any]:
    return {key: environment.get(key) for key in GROUND}


def short(value: Any) -> str:
    text = str(value).partition("\n")[0]
    return text if len(text) <= 40 else f"{text[:12]}…"
