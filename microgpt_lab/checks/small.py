"""The small GPT that parts are checked in, at random weights, and the documents that it is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from microgpt_lab.checks.gradients import noise, tensor
from microgpt_lab.checks.training import with_needs
from microgpt_lab.core.interface import Shape, Weights
from microgpt_lab.core.model import GPT
from microgpt_lab.registry.plugins import part

VOCAB_SIZE, BLOCK_SIZE = 5, 7
PIECES = [[4, 0, 2, 1, 3, 0, 2, 1], [4, 3, 1], [4, 2, 2, 0, 3]]  # documents of 7, 2 and 4 tokens to predict
IDS = PIECES[0][:-1]
ALL_CASES = 64  # the settings of a part whose models are kept, since each invariant is checked with all


def small_gpt(**chosen: Any) -> GPT:
    """Return a GPT with these parts, by kind, and options. The norm has weights if no other is chosen.

    A part may ask for others, and sizes, by its `check_model`.
    """
    others: dict[str, Any] = {
        "activation": part("activation", "gelu"),
        "norm": part("norm", "layernorm", gain=True, bias=True),
        "attention": part("attention", "multihead", head_dim=4),
    }
    sizes: dict[str, Any] = {"layers": 3, "heads": 4, "embed": 8, "block_size": BLOCK_SIZE}
    return GPT(VOCAB_SIZE, **(others | sizes | with_needs(chosen)))


@lru_cache(ALL_CASES)
def random_weights(model: GPT) -> Weights:
    """Return weights of the python backend: noise, which is added to those that start as numbers."""
    weights = {}
    for seed, (name, each) in enumerate(model.declared.items()):
        if isinstance(each, Shape):
            weights[name] = noise(each.out, each.in_, seed) * 0.3
        else:
            weights[name] = tensor(each) + noise(len(each), len(each[0]), seed) * 0.3
    return weights


def on_the_shortest(check: Callable[[GPT, list[int]], None]) -> Callable[..., None]:
    """Let a check that fails for a document report the shortest beginning of it for which it fails."""

    @wraps(check)
    def shortest(model: GPT, ids: list[int] = IDS) -> None:
        try:
            check(model, ids)
        except AssertionError:
            for length in range(1, len(ids)):
                check(model, ids[:length])
            raise

    return shortest


def count(tokens: int) -> str:
    return f"{tokens} token{'s' * (tokens != 1)}"


def targets_of(ids: list[int]) -> list[int]:
    return PIECES[0][1 : len(ids) + 1]


@lru_cache(ALL_CASES)
def logits(model: GPT, ids: tuple[int, ...]) -> list[list[float]]:
    """Return the logits of all tokens of a document, at random weights."""
    return model.logits(random_weights(model), list(ids)).tolist()


def total_loss(model: GPT, weights: Weights, ids: list[int]) -> Any:
    """The sum of what training minimizes, over all tokens of a document: (1, 1)."""
    return model.objective(weights, ids, targets_of(ids))[0].total()


@lru_cache(ALL_CASES)
def gradients(model: GPT, ids: tuple[int, ...]) -> dict[str, list[list[float]]]:
    """Return the gradient of a document's loss by each weight, at random weights."""
    leaves = {name: w.tracked() for name, w in random_weights(model).items()}
    total_loss(model, leaves, list(ids)).backward()
    return {name: [[x.grad for x in row] for row in leaf.rows] for name, leaf in leaves.items()}
