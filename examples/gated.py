from dataclasses import dataclass

from microgpt_lab import Heads, Linear, hookimpl
from microgpt_lab.ops import repeat_heads, sigmoid


@dataclass(kw_only=True, eq=False)
class Gated(Heads):
    """Attention whose output is multiplied by a gate, sigmoid(x Wᵀ) (Qiu et al., 2025). x: (…, T, C)."""

    def weights(self, gpt):
        return super().weights(gpt) | {"gate": Linear(gpt.heads * gpt.head_dim, gpt.embed)}

    def __call__(self, x, at, wq, wk, wv, wo, gate, q_gain=None, k_gain=None):
        heads, kv_heads = at.gpt.heads, self.kv_heads or at.gpt.heads
        q = self.place(wq(x).split_heads(heads), at, q_gain)
        k = self.place(wk(x).split_heads(kv_heads), at, k_gain)
        k, v = at.remember(k, wv(x).split_heads(kv_heads))
        k, v = repeat_heads(k, heads), repeat_heads(v, heads)
        scores = self.mask(at.bias((q * at.gpt.head_dim**-0.5) @ k.T), at)
        pattern = at.dropout(at.see("pattern", at.gpt.weighting(scores)))
        mixed = at.see("mixed", (pattern @ v).merge_heads())
        return wo(mixed * sigmoid(gate(x)))


@hookimpl
def attentions():
    return [Gated]
