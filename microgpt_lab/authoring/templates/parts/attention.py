from dataclasses import dataclass

from microgpt_lab import Heads, Linear, hookimpl
from microgpt_lab.ops import repeat_heads, sigmoid


# The fields of Heads are options, such as attention.kv_heads. Add your own as fields:
# beta: float = 1.0
@dataclass(kw_only=True, eq=False)
class MyPart(Heads):
    """Attention times a gate, sigmoid(x Wᵀ) (Qiu et al., 2025). x: (…, T, C)."""

    name = "my_part"  # on the command line

    # What it learns. Heads declares wq, wk, wv and wo, and the gains.
    def weights(self, gpt):
        gate = Linear(gpt.heads * gpt.head_dim, gpt.embed)
        return super().weights(gpt) | {"gate": gate}

    # The formula. It calls what other parts do: at.remember (the cache), at.bias and
    # norm_and_rotate (the position), at.gpt.weighting (softmax), at.dropout.
    # at.see names a tensor for `inspect`.
    def __call__(self, x, at, wq, wk, wv, wo, gate, q_gain=None, k_gain=None):
        heads, kv_heads = at.gpt.heads, self.kv_heads or at.gpt.heads
        q = self.norm_and_rotate(wq(x).split_heads(heads), at, q_gain)
        k = self.norm_and_rotate(wk(x).split_heads(kv_heads), at, k_gain)
        k, v = at.remember(k, wv(x).split_heads(kv_heads))  # (…, kv_heads, S, D)
        k, v = repeat_heads(k, heads), repeat_heads(v, heads)
        scores = at.bias((q * at.gpt.head_dim**-0.5) @ k.T)  # (…, heads, T, S)
        pattern = at.gpt.weighting(self.mask(scores, at))
        pattern = at.dropout(at.see("pattern", pattern))
        mixed = at.see("mixed", (pattern @ v).merge_heads())  # (…, T, heads · D)
        return wo(mixed * sigmoid(gate(x)))


@hookimpl
def attentions():
    return [MyPart]
