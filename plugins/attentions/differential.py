from dataclasses import dataclass
from math import exp as exponential

from microgpt_lab import Heads, Shape, hookimpl
from microgpt_lab.ops import exp, mean, repeat_heads, sum


@dataclass(kw_only=True, eq=False)
class Differential(Heads):
    """Differential attention: (A₁ - λ A₂) v, of two attention patterns (Ye et al., 2024). x: (…, T, C).

    λ = exp(λq₁ · λk₁) - exp(λq₂ · λk₂) + λ₀, with learned vectors of D numbers (shared by the heads), and
    λ₀ = 0.8 - 0.6 exp(-0.3 · layer). The result of each head is divided by its root mean square and multiplied
    by 1 - λ₀. Queries and keys of both patterns are as wide as values, so that it has more parameters than
    `multihead`. Unlike in the authors' code, the run's init draws the vectors (theirs: Gaussian, standard
    deviation 0.1), and the norm of each head has no learnable gain.
    """

    def weights(self, gpt):
        vectors = {name: Shape(1, gpt.head_dim, "scale") for name in ("lq1", "lk1", "lq2", "lk2")}
        return super().weights(gpt, queries=2) | vectors

    def __call__(self, x, at, wq, wk, wv, wo, lq1, lk1, lq2, lk2, q_gain=None, k_gain=None):
        heads, kv_heads = at.gpt.heads, self.kv_heads or at.gpt.heads
        start = 0.8 - 0.6 * exponential(-0.3 * at.layer)  # λ₀
        q1, q2 = halves(wq(x), heads, lambda q: self.norm_and_rotate(q, at, q_gain))
        k1, k2 = halves(wk(x), kv_heads, lambda k: self.norm_and_rotate(k, at, k_gain))
        states = at.remember(k1, k2, wv(x).split_heads(kv_heads))
        k1, k2, v = (repeat_heads(state, heads) for state in states)
        a1, a2 = (
            at.gpt.weighting(self.mask(at.bias((q * at.gpt.head_dim**-0.5) @ k.T), at))
            for q, k in ((q1, k1), (q2, k2))
        )
        amount = exp(sum(lq1 * lk1)) - exp(sum(lq2 * lk2)) + start
        mixed = at.dropout(at.see("pattern", a1 - a2 * amount)) @ v
        mixed = mixed * (mean(mixed * mixed) + 1e-5) ** -0.5 * (1 - start)
        return wo(at.see("mixed", mixed.merge_heads()))


def halves(x, heads, f):
    """f of the first half of the features, and of the second, each split into heads."""
    half = x.shape[-1] // 2
    return f(x[:half].split_heads(heads)), f(x[half:].split_heads(heads))


@hookimpl
def attentions():
    return [Differential]
