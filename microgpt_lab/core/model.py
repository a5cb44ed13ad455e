"""The GPT, written once for all backends: GPT-2 (Radford et al., 2019) as in microGPT (Karpathy, 2026).

What sets the default apart from GPT-2:
- RMSNorm without a learnable gain instead of LayerNorm, and another one right after the embedding
- no norm before the output, and separate weights for embedding and output
- ReLU instead of GELU, and no biases

First come the parts, each of which can be swapped, then the GPT that they make. A part declares its
`weights(gpt)` and is called with them. The model has no state: the weights are a dict of matrices beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from random import Random
from typing import Any

from microgpt_lab.core.derived import cross_entropy, repeat_heads
from microgpt_lab.core.heads import Heads
from microgpt_lab.core.interface import Ids, Linear, Masks, Matrix, Position, Shape, Weights
from microgpt_lab.core.ops import Array, logsumexp, sigmoid, softmax, tanh
from microgpt_lab.core.see import see
from microgpt_lab.core.wiring import Wiring
from microgpt_lab.errors import above, at_least


class Learned(Position):
    """Add a learned vector for each place to the token's embedding (Gehring et al., 2017)."""

    def weights(self, gpt):
        return {"wpe": Shape(gpt.block_size, gpt.embed, "embedding")}

    def embed(self, x, places, wpe):
        return x + wpe.take(places)


@dataclass(kw_only=True, eq=False)
class Multihead(Heads):
    """Causal self-attention in several heads: softmax(q kᵀ / √D) v (Vaswani et al., 2017). x: (…, T, C).

    sinks: add a learned logit for each head to the softmax, without a value (gpt-oss, 2025).
    value_residual: mix the first layer's values into those of each layer (Zhou et al., 2024).
    """

    sinks: bool = False
    value_residual: bool = False

    def weights(self, gpt):
        if self.sinks and getattr(gpt.weighting, "func", gpt.weighting) is not softmax:
            raise ValueError("sinks=true takes a share of the softmax: leave weighting=softmax")
        sinks = {"sink": [[0.0] * gpt.heads]} if self.sinks else {}
        return super().weights(gpt) | sinks | ({"mix": [[0.5, 0.5]]} if self.value_residual else {})

    def __call__(self, x, at, wq, wk, wv, wo, q_gain=None, k_gain=None, sink=None, mix=None):
        heads, kv_heads = at.gpt.heads, self.kv_heads or at.gpt.heads
        q = at.see("q", self.norm_and_rotate(wq(x).split_heads(heads), at, q_gain))
        k = at.see("k", self.norm_and_rotate(wk(x).split_heads(kv_heads), at, k_gain))
        v = at.see("v", wv(x).split_heads(kv_heads))
        if mix is not None:
            v = at.first_layer("v", v) * mix[:1] + v * mix[1:]  # slices are along the last axis
        k, v = at.remember(k, v)  # in generation, those of all previous tokens too
        k, v = repeat_heads(k, heads), repeat_heads(v, heads)
        scores = at.bias((q * at.gpt.head_dim**-0.5) @ k.T)  # (…, heads, T, S)
        scores = at.see("scores", self.mask(scores, at))
        pattern = at.gpt.weighting(scores)
        if sink is not None:  # exp(s) / (Σ exp(s) + exp(sink))
            pattern = pattern * sigmoid(logsumexp(scores) - sink.split_heads(heads))  # (heads, 1, 1)
        pattern = at.dropout(at.see("pattern", pattern))
        return wo(at.see("mixed", (pattern @ v).merge_heads()))


class MLP:
    """Two linear layers with the run's activation between them, for each token by itself. x: (…, T, C).

    ratio: width of the hidden layer / embed.
    """

    def __init__(self, *, ratio: float = 4.0):
        above(0, ratio=ratio)
        self.ratio = ratio

    def weights(self, gpt):
        hidden = max(1, round(gpt.embed * self.ratio))
        return {"fc1": Linear(hidden, gpt.embed), "fc2": Linear(gpt.embed, hidden, "residual")}

    def __call__(self, x, at, fc1, fc2):
        return fc2(at.see("post", at.gpt.activation(at.see("pre", fc1(x)))))


def pre_norm(x, attention, mlp, norm1, norm2):
    """x + attention(norm(x)), then x + mlp(norm(x)). The residual stream itself is not normalized (GPT-2)."""
    x = x + attention(norm1(x))
    return x + mlp(norm2(x))


def normal(shape: Shape, gpt: GPT, rng: Random, *, std: float = 0.08, zero: bool = False) -> Matrix:
    """Gaussian weights, row by row.

    std: standard deviation.
    zero: start the projections into the residual stream at 0.
    """
    at_least(0, std=std)
    std = 0.0 if zero and shape.role == "residual" else std
    return [[rng.gauss(0, std) for _ in range(shape.in_)] for _ in range(shape.out)]


@dataclass(repr=False, eq=False)
class GPT(Wiring):
    """A decoder-only transformer over a vocabulary of `vocab_size` tokens.

    layers: number of transformer blocks.
    heads: number of attention heads in each block; embed must be divisible by it.
    embed: width of the embeddings and of the residual stream.
    block_size: maximum number of tokens that the model sees at once (context length).
    tie_embeddings: use the token embedding as output matrix too (Press & Wolf, 2017).
    embed_norm: apply a norm after the embedding, as microGPT does.
    final_norm: apply a norm before the output matrix, as GPT-2 does.
    bias: add biases to the linear layers of attention and MLP, as GPT-2 does.
    logit_softcap: c, which limits logits to c tanh(logits / c), as in Gemma 2 (2024; 0: no limit).
    embed_scale: factor of the token embeddings.
    """

    vocab_size: int
    activation: Callable[[Array], Array]
    norm: Callable[..., Array]
    position: Any = Learned()
    attention: Any = Multihead()
    weighting: Callable[[Array], Array] = softmax
    mlp: Any = MLP()
    block: Callable[..., Array] = pre_norm
    init: Callable[..., Matrix] = normal
    loss: Callable[..., Array] = cross_entropy
    _: KW_ONLY
    layers: int = 1
    heads: int = 4
    embed: int = 16
    block_size: int = 16
    tie_embeddings: bool = False
    embed_norm: bool = True
    final_norm: bool = False
    bias: bool = False
    logit_softcap: float = 0.0
    embed_scale: float = 1.0

    def logits(self, w: Weights, ids: Ids, cache: Any = None, masks: Masks = (), aux: Any = None) -> Array:
        """Compute unnormalized log-probabilities of each next token: (…, T) to (…, T, vocab_size).

        With a `cache`, `ids` are the tokens after the cached ones. The dropout `masks`, if any, multiply
        the embeddings and the output of each attention and MLP (Srivastava et al., 2014). Auxiliary losses of
        parts, such as that of a router, are added to the dict `aux`.
        """
        x = w["wte"].take(ids)
        x = x if self.embed_scale == 1 else x * self.embed_scale
        at = self.at(w, ids, x, cache, masks, aux)
        x = see("embed", self.position.embed(x, at.places, **at.position))
        x = self.apply_dropout(x, masks, 0)
        x = self.normed(w, "embed_norm", x) if self.embed_norm else x
        for i in range(self.layers):
            x = self.block(x, *self.sublayers(at, i), **self.arguments(w, f"layer{i}.block", x))
            x = see(f"layer{i}.end", x)
        x = self.normed(w, "final_norm", x) if self.final_norm else x
        logits, cap = x @ w[self.output_matrix].T, self.logit_softcap
        return see("logits", tanh(logits / cap) * cap if cap else logits)

    def objective(self, w: Weights, ids: Ids, targets: Ids, masks: Masks = ()) -> list[Array]:
        """Compute what training minimizes for each target, (…, T, 1), then its `loss_terms`, if any.

        `loss_terms` are the cross-entropy, what another loss adds to it, and the parts' auxiliary losses.
        """
        aux: dict[str, Array] = {}
        logits = self.logits(w, ids, masks=masks, aux=aux)
        loss = self.loss(logits, targets)
        if not self.loss_terms:
            return [loss]
        nats = cross_entropy(logits, targets)
        terms = [nats] if self.loss_is_cross_entropy else [nats, loss - nats]
        return [sum(aux.values(), start=loss), *terms, *self.listed(aux)]
