from math import inf

from microgpt_lab import Linear, Position, hookimpl
from microgpt_lab.ops import exp, softmax, sum, where

EPS = 1e-12  # added to Σ φ(q)·φ(k) to avoid division by 0


class LinearAttention:
    """Linear attention: Σ φ(q)·φ(k) v / Σ φ(q)·φ(k), φ(x) = elu(x) + 1 (Katharopoulos et al., 2020).

    x: (…, T, C). It is computed with all pairs of tokens, which gives the numbers of the paper's recurrence.
    With RoPE, queries and keys are rotated before φ.
    """

    name = "linear"

    def weights(self, gpt):
        if type(gpt.position).bias is not Position.bias:
            raise ValueError(
                "linear attention has no scores to bias: choose rope, learned, sinusoidal or none"
            )
        if getattr(gpt.weighting, "func", gpt.weighting) is not softmax:
            raise ValueError("it replaces the weighting of scores: leave weighting=softmax")
        C, width = gpt.embed, gpt.heads * gpt.head_dim
        return {name: Linear(width, C) for name in ("wq", "wk", "wv")} | {"wo": Linear(C, width, "residual")}

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        q, k = phi(at.rotate(q)), phi(at.rotate(k))
        k, v = at.remember(k, v)
        scores = (q @ k.T).causal()
        scores = where(scores > -inf, scores, 0.0)
        pattern = at.see("pattern", scores / (sum(scores) + EPS))
        return wo(at.see("mixed", (pattern @ v).merge_heads()))


def phi(x):
    """elu(x) + 1, which is x + 1 above 0 and exp(x) below."""
    negative = where(x > 0, 0.0, x)  # exp of a large x would overflow
    return x - negative + exp(negative)


@hookimpl
def attentions():
    return [LinearAttention]
