"""The GPT, written once for all backends: GPT-2 (Radford et al., 2019) as in microGPT (Karpathy, 2026).

A norm (default: RMSNorm) follows the embedding and precedes each attention and MLP. No biases, no final
norm. The model has no state: its methods take the weights, a dict of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from microgpt_lab.core.cache import Cache
from microgpt_lab.core.ops import Array, logsumexp, softmax
from microgpt_lab.core.reprs import call_repr
from microgpt_lab.errors import at_least

Matrix = list[list[float]]
Weights = dict[str, Array]


class GPT:
    """A decoder-only transformer over a vocabulary of `vocab_size` tokens.

    `activation` takes (…, 4·embed), `norm` takes (…, embed). If the norm has learnable parameters, its
    `init(embed)` returns their initial values as matrices by name.

    layers: number of transformer blocks.
    heads: number of attention heads in each block; embed must be divisible by it.
    embed: width of the embeddings and of the residual stream.
    block_size: maximum number of tokens that the model sees at once (context length).
    tie_embeddings: use the token embedding as output matrix too (Press & Wolf, 2017).
    """

    def __init__(
        self,
        vocab_size: int,
        activation: Callable[[Array], Array],
        norm: Callable[..., Array],
        *,
        layers: int = 1,
        heads: int = 4,
        embed: int = 16,
        block_size: int = 16,
        tie_embeddings: bool = False,
    ):
        at_least(1, layers=layers, heads=heads, embed=embed, block_size=block_size)
        if embed % heads:
            raise ValueError(f"embed={embed} must be divisible by heads={heads}")
        self.vocab_size, self.block_size = vocab_size, block_size
        self.layers, self.heads, self.embed = layers, heads, embed
        self.activation, self.norm = activation, norm
        self.output_matrix = "wte" if tie_embeddings else "lm_head"
        self.dropout_sites = 1 + 2 * layers  # number of masks that `logits` takes

    __repr__ = call_repr

    def init(self, rng: Random, *, std: float = 0.08, zero: bool = False) -> dict[str, Matrix]:
        """Draw Gaussian matrices (out, in) in microgpt.py's order, and add the norms' parameters.

        With `zero`, the two projections back into the residual stream start at 0 (they are still drawn).
        """

        def gaussian(out: int, in_: int, std: float = std) -> Matrix:
            return [[rng.gauss(0, std) for _ in range(in_)] for _ in range(out)]

        C, residual_std = self.embed, 0.0 if zero else std
        weights = {"wte": gaussian(self.vocab_size, C), "wpe": gaussian(self.block_size, C)}
        if self.output_matrix == "lm_head":
            weights["lm_head"] = gaussian(self.vocab_size, C)
        for i in range(self.layers):
            for name in ("wq", "wk", "wv"):
                weights[f"layer{i}.{name}"] = gaussian(C, C)
            weights[f"layer{i}.wo"] = gaussian(C, C, residual_std)
            weights[f"layer{i}.fc1"] = gaussian(4 * C, C)
            weights[f"layer{i}.fc2"] = gaussian(C, 4 * C, residual_std)
        for norm in ("norm", *(f"layer{i}.norm{j}" for i in range(self.layers) for j in (1, 2))):
            for name, matrix in getattr(self.norm, "init", lambda embed: {})(C).items():
                weights[f"{norm}.{name}"] = matrix
        return weights

    def normed(self, w: Weights, norm: str, x: Array) -> Array:
        """Apply the norm called `norm` ("layer0.norm1", say) with its learnable parameters in `w`, if any."""
        prefix = norm + "."
        return self.norm(x, **{name.removeprefix(prefix): w[name] for name in w if name.startswith(prefix)})

    def attention(self, w: Weights, i: int, x: Array, cache: Cache | None) -> Array:
        """Multi-head causal self-attention (Vaswani et al., 2017). x: (…, T, C)."""
        q, k, v = ((x @ w[f"layer{i}.{n}"].T).split_heads(self.heads) for n in ("wq", "wk", "wv"))
        if cache is not None:
            k, v = cache.extend(i, k, v)
        scores = (q * (self.embed // self.heads) ** -0.5) @ k.T  # (…, heads, T, S)
        return (softmax(scores.causal()) @ v).merge_heads() @ w[f"layer{i}.wo"].T

    def mlp(self, w: Weights, i: int, x: Array) -> Array:
        return self.activation(x @ w[f"layer{i}.fc1"].T) @ w[f"layer{i}.fc2"].T

    def logits(
        self, w: Weights, ids: Sequence[int], cache: Cache | None = None, masks: Sequence[Array] = ()
    ) -> Array:
        """Compute unnormalized log-probabilities of each next token: (…, T) to (…, T, vocab_size).

        With a `cache`, `ids` are the tokens after the cached ones. The dropout `masks`, if any, multiply
        the embeddings and the output of each attention and MLP (Srivastava et al., 2014).
        """
        mask = iter(masks)

        def dropout(x: Array) -> Array:
            return x * next(mask) if masks else x

        x = w["wte"].take(ids)
        start = cache.length if cache is not None else 0
        stop = start + x.shape[-2]
        x = self.normed(w, "norm", dropout(x + w["wpe"].take(range(start, stop))))
        for i in range(self.layers):
            x = x + dropout(self.attention(w, i, self.normed(w, f"layer{i}.norm1", x), cache))
            x = x + dropout(self.mlp(w, i, self.normed(w, f"layer{i}.norm2", x)))
        if cache is not None:
            cache.length = stop
        return x @ w[self.output_matrix].T

    def nll(
        self, w: Weights, ids: Sequence[int], targets: Sequence[int], masks: Sequence[Array] = ()
    ) -> Array:
        """Compute the negative log-likelihood of each target in nats: (…, T) to (…, T, 1)."""
        logits = self.logits(w, ids, masks=masks)
        return logsumexp(logits) - logits.pick(targets)  # = -log softmax(logits)[target]
