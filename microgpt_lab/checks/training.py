"""Train a small model, and compare its losses on two backends."""

from __future__ import annotations

from typing import Any

from microgpt_lab.core.data import Corpus
from microgpt_lab.core.model import GPT
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import part, registry

# Batches of documents of different lengths, with dropout, in more than one layer.
LONG: dict[str, Any] = {"steps": 3, "layers": 2, "batch_size": 3, "dropout": 0.2}
SHORT = LONG | {"steps": 2}
FEW = SHORT | {"layers": 1}  # where a model is compiled
# Where the losses of two backends differ, these are tried first, the simplest first.
SIMPLE: tuple[dict[str, Any], ...] = (
    {"steps": 1, "layers": 1, "batch_size": 1, "dropout": 0.0},
    {"steps": 1, "layers": 1, "batch_size": 3, "dropout": 0.0},
    {"steps": 2, "layers": 1, "batch_size": 1, "dropout": 0.0},
    {"steps": 2, "layers": 2, "batch_size": 1, "dropout": 0.0},
)


def with_needs(chosen: dict[str, Any]) -> dict[str, Any]:
    """Add to the parts of a model, by kind, what they ask for: sizes, and other parts.

    A part lists them in `check_model`: {"position": "rope", "embed": 16}, say.
    """
    needs: dict[str, Any] = {}
    for each in chosen.values():
        needs |= getattr(getattr(each, "func", each), "check_model", {})
    return {key: part(key, x) if key in MODEL_KINDS else x for key, x in needs.items()} | chosen


def small_trainer(backend: Any, steps: int = 20, **chosen: Any) -> Trainer:
    """Return a trainer for a small model on a few names.

    chosen: built parts by kind, and options of GPT and Trainer.
    """
    chosen = with_needs(chosen)
    parts = {"activation": "relu", "norm": "rmsnorm", "optimizer": "adam", "scheduler": "linear"}
    built = {kind: chosen.pop(kind, None) or part(kind, name) for kind, name in parts.items()}
    built |= {kind: chosen.pop(kind) for kind in MODEL_KINDS if kind in chosen}
    sizes: dict[str, Any] = {name: chosen.pop(name) for name in options_of(GPT) if name in chosen}
    sizes = {"embed": 8, "heads": 2, "block_size": 7} | sizes
    documents = ["anna", "bo", "caroline", "d", "ed", "florence"] * 8
    corpus = Corpus(documents, split="none", block_size=sizes["block_size"])
    model = GPT(corpus.vocab_size, **{kind: built[kind] for kind in MODEL_KINDS if kind in built}, **sizes)
    return Trainer(model, corpus, built["optimizer"], built["scheduler"], backend, steps=steps, **chosen)


def losses(trainer: Trainer) -> list[float]:
    """Train to the last step and return the training loss of each step."""
    result: list[float] = []
    while trainer.step < trainer.steps:
        steps = min(trainer.backend.fused, trainer.steps - trainer.step)
        result += [metrics["loss/train"] for metrics in trainer.advance(steps)]
    return result


def assert_same_losses(backend: Any, steps: int = 20, tolerance: float = 1e-9, **chosen: Any) -> None:
    """Check that training a small model gives the same losses as on the python backend."""
    chosen["steps"] = steps
    if not differing(backend, tolerance, chosen):
        return
    for sizes in (*SIMPLE, {}):
        if different := differing(backend, tolerance, chosen | sizes):
            step, x, y = different
            words = ", ".join(f"{name}={value}" for name, value in sizes.items())
            raise AssertionError(
                f"the loss of step {step} is {x} on {type(backend).__name__}, but {y} on the python backend"
                + (words and f" ({words})")
            )


def differing(backend: Any, tolerance: float, chosen: dict[str, Any]) -> tuple[int, float, float] | None:
    """Return the first step whose losses differ from those of the python backend, with both losses."""
    expected = losses(small_trainer(registry().get("backend", "python").build(), **chosen))
    result = losses(small_trainer(backend, **chosen))
    for step, (x, y) in enumerate(zip(result, expected, strict=True), start=1):
        if not abs(x - y) <= tolerance:
            return step, x, y
    return None
