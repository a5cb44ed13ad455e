from math import inf

from microgpt_lab import Linear, Position, hookimpl
from microgpt_lab.ops import exp, softmax, sum, where


class LinearAttention:
    """Linear attention: Σ φ(q)·φ(k) v / Σ φ(q)·φ(k), φ(x) = elu(x) + 1 (Katharopoulos et al., 2020).

    x: (…, T, C). It is computed with all pairs of tokens, which gives the numbers of the paper's recurrence.
    """

    name = "linear"

    def weights(self, gpt):
        if type(gpt.position).bias is not Position.bias:
            raise ValueError("it has no scores that a position such as alibi can bias")
        if getattr(gpt.weighting, "func", gpt.weighting) is not softmax:
            raise ValueError("it replaces the weighting of scores: leave weighting=softmax")
        C, width = gpt.embed, gpt.heads * gpt.head_dim
        return {name: Linear(width, C) for name in ("wq", "wk", "wv")} | {"wo": Linear(C, width, "residual")}

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        q, k = (where(y > 0, y + 1.0, exp(y)) for y in (at.rotate(q), at.rotate(k)))
        k, v = at.remember(k, v)
        scores = (q @ k.T).causal()
        scores = where(scores > -inf, scores, 0.0)
        pattern = at.see("pattern", scores / sum(scores))
        return wo(at.see("mixed", (pattern @ v).merge_heads()))


@hookimpl
def attentions():
    return [LinearAttention]
