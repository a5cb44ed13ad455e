"""Measure a model inside: its weights, gradients and updates by matrix, its activations by layer.

Each function returns plain floats by name. The names do not depend on the backend:

    weights/NAME      rms of a weight matrix
    gradients/NAME    rms of its gradient, before clipping
    updates/NAME      log10(rms of an optimizer step / rms of the matrix), as in makemore, part 3
    activations/rms/embed, activations/rms/layer0   rms of the residual stream, before and after layers
    activations/dead/layer0.mlp                     share of hidden units that are 0 for every token
    activations/saturated/layer0.mlp                share of hidden numbers where the activation is flat
    activations/entropy/layer0.attention.head0      mean entropy of attention weights, in nats

A number that is not defined, such as the logarithm of an update of 0, is NaN. Functions of tensors take those
of any backend; `counted` (…, T, 1) is 1 for the tokens to count and 0 for padding (None: all count).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from microgpt_lab.core.backend import Backend, Batch, Block
from microgpt_lab.core.derived import maximum
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.ops import Array, abs, log, sum, where
from microgpt_lab.core.see import seen

Figures = dict[str, float]
FLAT = 1 - 0.97**2  # slope below which an activation is saturated: that of tanh where it is 0.97
STEP = 1e-3  # of the difference quotient that measures this slope
DOCUMENTS, TOKENS = 32, 4096  # most held-out documents of a forward pass, and most tokens, with padding
measured: WeakKeyDictionary[Any, tuple[int, Figures]] = WeakKeyDictionary()  # by trainer: step, figures


def diagnose(trainer: Any, backend: Backend) -> Figures:
    """Measure a trainer's next step, and its activations on some held-out documents.

    It is done once per step: another call at the same step returns the same figures. Nothing that training
    computes changes.

    backend: computes the activations, on a copy of the weights: an array backend that need not compile.
    """
    if measured.get(trainer, (-1,))[0] != trainer.step:
        weights = {name: backend.tensor(w.tolist()) for name, w in trainer.weights.items()}
        most = min(DOCUMENTS, max(1, TOKENS // trainer.longest))
        pieces = [tokens for tokens, _ in trainer.pieces(trainer.held_out[:most])[:most]]
        figures = next_step(trainer)
        for block in backend.blocks(Batch(pieces, trainer.longest, mean=False)) if pieces else ():
            figures |= forward(trainer.model, weights, block)
        measured[trainer] = trainer.step, figures
    return measured[trainer][1]


def rms(x: Array) -> float:
    """Root mean square of all numbers of a tensor."""
    return x.norm().item() / math.sqrt(math.prod(x.shape))


def log_ratio(update: float, weight: float) -> float:
    """log10(update / weight) of two root mean squares. NaN if one of them is 0, or not finite."""
    defined = 0 < update < math.inf and 0 < weight < math.inf
    return math.log10(update / weight) if defined else math.nan


def matrices(weights: Weights, gradients: Weights, updated: Weights) -> Figures:
    """Measure each weight matrix, its gradient, and the step that leads to `updated`."""
    sizes = {name: rms(w) for name, w in weights.items()}
    return (
        {f"weights/{name}": size for name, size in sizes.items()}
        | {f"gradients/{name}": rms(gradients[name]) for name in weights}
        | {f"updates/{name}": log_ratio(rms(updated[name] - w), sizes[name]) for name, w in weights.items()}
    )


def next_step(trainer: Any) -> Figures:
    """Measure the gradients and the update of a trainer's next step, which is computed and thrown away.

    The backend computes both with the functions of training, compiled where it compiles. Nothing of the
    trainer changes. After the last step, it is the last one, because the learning rate is 0 then.
    """
    (packed, _), _ = trainer.train_scan(trainer.carry, [next_inputs(trainer)])
    return matrices(trainer.weights, next_gradients(trainer), trainer.packing.unpack(packed))


def next_gradients(trainer: Any) -> Weights:
    """Return the gradients of a trainer's next step, before clipping."""
    batch, *_ = next_inputs(trainer)
    return trainer.gradient_scan(trainer.packing.gradient_point(trainer.carry), [(batch,)])[0]


def next_inputs(trainer: Any) -> tuple:
    """Return the batch, the learning rate and the index of a trainer's next step; at the end, of the last."""
    return trainer.inputs(max(0, min(trainer.step, trainer.steps - 1)))


def forward(model: GPT, weights: Weights, block: Block) -> Figures:
    """Measure the activations on the documents of a block, in a forward pass."""
    with seen() as inside:
        model.logits(weights, block.ids)
    weighted = not isinstance(block.loss_weight, (int, float))
    return activations(model, inside, where(block.loss_weight > 0, 1.0, 0.0) if weighted else None)


def activations(model: GPT, inside: Mapping[str, Array], counted: Array | None = None) -> Figures:
    """Measure named tensors of a forward pass (docs/inside.md). Those that a model lacks are left out."""
    figures = {}
    for name, x in inside.items():
        layer, _, kind = name.rpartition(".")
        if name == "embed" or kind == "end":
            figures[f"activations/rms/{layer or name}"] = token_rms(x, counted)
        elif kind == "pre":
            figures[f"activations/saturated/{layer}"] = saturated(x, model.activation, counted)
        elif kind == "post":
            figures[f"activations/dead/{layer}"] = dead(x, counted)
        elif kind == "pattern":
            for head, nats in enumerate(entropies(x, counted)):
                figures[f"activations/entropy/{layer}.head{head}"] = nats
    return figures


def token_rms(x: Array, counted: Array | None = None) -> float:
    """Root mean square of the vectors of tokens, (…, T, C)."""
    x = x if counted is None else x * counted
    return x.norm().item() / math.sqrt(tokens(x, counted) * x.shape[-1])


def saturated(pre: Array, activation: Callable[[Array], Array], counted: Array | None = None) -> float:
    """Share of an activation's inputs, (…, T, hidden), where it is flat: its slope is below 0.06.

    There, hardly any gradient flows back. Of tanh, these are outputs beyond ±0.97 (makemore, part 3); of
    ReLU, those that are 0.
    """
    slope = (activation(pre + STEP) - activation(pre - STEP)) * (0.5 / STEP)
    flat = where(abs(slope) < FLAT, 1.0, 0.0)
    flat = flat if counted is None else flat * counted
    return flat.total().item() / (tokens(pre, counted) * pre.shape[-1])


def dead(post: Array, counted: Array | None = None) -> float:
    """Share of hidden units whose outputs, (…, T, hidden), are 0 for every token."""
    size = abs(post if counted is None else post * counted)
    largest = size.T.max().tolist()  # a row for each unit of each document
    hidden = post.shape[-1]
    alive = {i % hidden for i, (x,) in enumerate(largest) if x > 0}
    return 1 - len(alive) / hidden


def entropies(pattern: Array, counted: Array | None = None) -> list[float]:
    """Mean entropy of the attention weights of each head, (…, heads, T, S), in nats.

    0: each token looks at one token; log(n): evenly at n. Weights that do not sum to 1 are divided by their
    sum. Empty if some weights are negative, as those of `attention=differential`: they are no distribution.
    """
    if where(pattern < 0, 1.0, 0.0).total().item():
        return []
    share = pattern / maximum(sum(pattern), 1e-30)
    by_token = (-sum(share * log(maximum(share, 1e-30)))).merge_heads()  # (…, T, heads)
    by_token = by_token if counted is None else by_token * counted
    sums = [nats for (nats,) in sum(by_token.T).tolist()]  # of each document, head by head
    heads, total = pattern.shape[-3], tokens(by_token, counted)
    return [math.fsum(sums[head::heads]) / total for head in range(heads)]


def tokens(x: Array, counted: Array | None) -> float:
    """The number of tokens of (…, T, C) that count."""
    return math.prod(x.shape[:-1]) if counted is None else counted.total().item()
