from dataclasses import dataclass

from microgpt_lab import Heads, Shape, hookimpl
from microgpt_lab.ops import convolve, repeat_heads, softplus


@dataclass(kw_only=True, eq=False)
class Forgetting(Heads):
    """Attention with a forget gate f: scores[t, s] + Σ log f[l] over s < l ≤ t (Lin et al., 2025).

    f = sigmoid(x Wᵀ + b), a number for each token and head, so that a head can lose sight of all tokens
    before one, and needs no position to know which are recent. x: (…, T, C).
    """

    name = "forgetting"

    def weights(self, gpt):
        return super().weights(gpt) | {"wf": Shape(gpt.heads, gpt.embed), "bf": [[0.0] * gpt.heads]}

    def tables(self, gpt):
        return {"ones": [[1.0]] * gpt.block_size}

    def __call__(self, x, at, wq, wk, wv, wo, wf, bf, ones, q_gain=None, k_gain=None):
        heads, kv_heads = at.gpt.heads, self.kv_heads or at.gpt.heads
        q = self.norm_and_rotate(wq(x).split_heads(heads), at, q_gain)
        k = self.norm_and_rotate(wk(x).split_heads(kv_heads), at, k_gain)
        log_f = at.see("log_f", -softplus(-(x @ wf.T + bf)))  # (…, T, heads); log(sigmoid(z)) is -inf at -800
        (log_fs,) = at.remember(log_f)
        c = convolve(log_fs, ones, at.places).split_heads(heads)  # (…, heads, T, 1): log f[0] + … + log f[t]
        k, v, cs = at.remember(k, wv(x).split_heads(kv_heads), c)
        k, v = repeat_heads(k, heads), repeat_heads(v, heads)
        one = c * 0.0 + 1.0
        forgotten = c - one @ cs.T  # (…, heads, T, S): c[t] - c[s]
        scores = at.bias((q * at.gpt.head_dim**-0.5) @ k.T + forgotten)
        pattern = at.gpt.weighting(self.mask(scores, at))
        pattern = at.dropout(at.see("pattern", pattern))
        mixed = at.see("mixed", (pattern @ v).merge_heads())  # (…, T, heads · D)
        return wo(mixed)


MICROGPT_LAB_HOOKS = 6  # of microgpt_lab's versions


@hookimpl
def attentions():
    return [Forgetting]
