"""Capture and restore the state of a training, and compare what must not change before a run resumes."""

from __future__ import annotations

import re
import sys
from array import array
from typing import Any, TypedDict

import msgspec

from microgpt_lab.core.divergence import in_range
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import Changed
from microgpt_lab.options.files import deeper_than, msgspec_message
from microgpt_lab.options.overrides import differing_keys
from microgpt_lab.options.untrusted import DEEPEST
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import Saved
from microgpt_lab.run.folder import Figure, Step

# The keys of environment.json that decide the numbers of a run.
INPUTS = ("documents_sha256", "parts", "core", "packages", "python")
OF_PART = ("provider", "version", "sha256")  # of an entry of `parts`
RESET = "the optimizer's state (its moving averages, say) starts anew, because its shapes have changed"


class Facts(TypedDict):
    """What a checkpoint contains in addition to its numbers."""

    step: Step
    config: dict[str, Any]
    callbacks: dict[str, Any]
    tokenizer: dict[str, Any]
    start: list[int]
    rng: tuple[int, list[int], float | None]
    tensors: dict[str, Any]
    seconds: Figure
    resumed: list[Step]
    stopped: bool


def capture(trainer: Trainer, **facts: Any) -> bytes:
    """Return the content of a checkpoint: the facts, with step and generator, the weights, the optimizer.

    The order of the documents is not in it, because it follows from the configuration.
    """
    corpus = trainer.corpus
    facts |= {"step": trainer.step, "tokenizer": corpus.tokenizer.state_dict(), "start": corpus.start}
    facts |= {"rng": corpus.rng.getstate()}
    return checkpoint.encode(facts, {"weights": trainer.weights, "optimizer": trainer.carry[1]})


def check_facts(saved: Saved) -> None:
    """Raise Changed if a fact is missing or of a wrong type."""
    try:
        msgspec.convert(saved.facts, Facts)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair in a key
        raise Changed(f"{saved.name} is not a checkpoint of a run: {msgspec_message(error)}") from None
    if deeper_than(saved.facts["config"], DEEPEST):
        raise Changed(f"{saved.name} is not a checkpoint of a run: its configuration is nested too deeply")


def restore(trainer: Trainer, saved: Saved, *, optimizer: bool = True) -> None:
    """Set a new trainer to the step, the weights and the generator of a checkpoint.

    optimizer: restore the optimizer's state too. If its structure or shapes have changed, it starts anew, and
        a warning says so.
    """
    facts, numbers = saved.facts, iter(saved.numbers)
    try:
        shapes, tensor = facts["tensors"], trainer.backend.tensor
        weights = checkpoint.unflatten(shapes["weights"], numbers, tensor)
        if facts["tokenizer"] != trainer.corpus.tokenizer.state_dict():
            raise Changed("the checkpoint has a different vocabulary")
        if {n: tuple(w.shape) for n, w in weights.items()} != trainer.packing.shapes:
            raise Changed("the checkpoint's weights do not fit a model of this configuration")
        if not in_range(weights):
            raise Changed("the checkpoint's weights are not finite, or beyond 1e77")
        state = trainer.carry[1]
        if optimizer and same_structure(shapes["optimizer"], checkpoint.flatten(state, array("d"))):
            state = checkpoint.unflatten(shapes["optimizer"], numbers, tensor, like=state)
        elif optimizer:
            print(f"warning: {RESET}", file=sys.stderr)
        version, internal, gauss = facts["rng"]
        trainer.corpus.rng.setstate((version, tuple(internal), gauss))
        trainer.carry, trainer.step = (trainer.packing.pack(weights), state), facts["step"]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Changed(
            f"{saved.name} is not a checkpoint of this run: {type(error).__name__} {error}"
        ) from None


def same_structure(a: Any, b: Any) -> bool:
    """Return whether two flattened trees have the same keys and shapes. Numbers as leaves may differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_structure(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_structure, a, b))
    return a == b or (isinstance(a, (int, float)) and isinstance(b, (int, float)))


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List the differences between two configurations or environments.

    Options that only one of two parts has are left out. So is the version of a part that only one of two
    environments has, because older runs did not record it.
    """
    lines, differing = [], differing_keys(before, now)
    for key, (old, new) in differing.items():
        missing = key.rpartition(".")[0] in differing or re.fullmatch(r"parts\..*\.version", key)
        if None in (old, new) and missing:
            continue
        show = short if short(old) != short(new) else repr  # to tell '16' from 16
        lines.append(f"{key} was {show(old)}, is {show(new)}")
    return lines


def inputs_of(environment: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of environment.json that decide the numbers of a run."""
    parts = {
        kind: {key: part[key] for key in OF_PART if key in part} if isinstance(part, dict) else part
        for kind, part in (environment.get("parts") or {}).items()
    }
    return {key: environment.get(key) for key in INPUTS} | {"parts": parts}


def short(value: Any) -> str:
    """Shorten a value to its first line, and a long line to its first characters."""
    text = str(value).partition("\n")[0]
    return text if len(text) <= 40 else f"{text[:12]}…"
