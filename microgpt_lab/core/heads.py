"""The base class of attentions with queries, keys and values."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from microgpt_lab.core.interface import At, Linear
from microgpt_lab.core.ops import Array
from microgpt_lab.errors import at_least


@dataclass(kw_only=True, eq=False)
class Heads:
    """Options and projections of an attention.

    kv_heads: number of heads of keys and values, each of which serves a group of query heads (Ainslie et al.,
        2023; 0: as many as query heads).
    window: number of tokens that each token attends to: itself and those just before (Beltagy et al.,
        2020; 0: all).
    window_pattern: which layers have the window, S, and which attend to all, L; it repeats, but the last
        layer is always L (empty: all layers have the window).
    qk_norm: normalize queries and keys by the run's norm, without its learnable parameters (Henry et al.,
        2020).
    qk_gain: multiply normalized queries and keys by learnable gains of shape (1, head_dim).
    head_dim: width of each head (0: embed / heads).
    dropout: probability of dropping an attention weight (Radford et al., 2018).
    """

    kv_heads: int = 0
    window: int = 0
    window_pattern: str = ""
    qk_norm: bool = False
    qk_gain: bool = False
    head_dim: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least(0, kv_heads=self.kv_heads, window=self.window, head_dim=self.head_dim)
        at_least(0, below=1, dropout=self.dropout)
        if not set(self.window_pattern) <= {"S", "L"}:
            raise ValueError(f"window_pattern={self.window_pattern} must consist of S and L, such as SSSL")
        if self.window_pattern and not self.window:
            raise ValueError(f"window_pattern={self.window_pattern} needs a window, such as window=8")
        if self.qk_gain and not self.qk_norm:
            raise ValueError("qk_gain=true needs qk_norm=true")

    def weights(self, gpt: Any, queries: int = 1) -> dict[str, Any]:
        """Declare wq, wk, wv and wo, and gains. `queries`: how many queries, and keys, a head has."""
        C, D, kv_heads = gpt.embed, gpt.head_dim, self.kv_heads or gpt.heads
        if gpt.heads % kv_heads:
            raise ValueError(f"heads={gpt.heads} must be divisible by attention.kv_heads={kv_heads}")
        if self.window_pattern and all(self.is_full(layer, gpt.layers) for layer in range(gpt.layers)):
            raise ValueError(
                f"window_pattern={self.window_pattern} gives no layer a window with layers={gpt.layers}, "
                "because the last layer is always L"
            )
        _, *others = inspect.signature(gpt.norm).parameters.values()
        if self.qk_norm and any(p.default is p.empty for p in others):
            raise ValueError("qk_norm=true needs a norm without initial parameters, such as rmsnorm")
        if self.qk_norm and getattr(getattr(gpt.norm, "func", gpt.norm), "__name__", "") == "none":
            raise ValueError("qk_norm=true needs a norm: choose another than norm=none")
        gains = {name: [[1.0] * D] for name in ("q_gain", "k_gain") if self.qk_gain}
        return {
            "wq": Linear(gpt.heads * D * queries, C),
            "wk": Linear(kv_heads * D * queries, C),
            "wv": Linear(kv_heads * D, C),
            "wo": Linear(C, gpt.heads * D, "residual"),
        } | gains

    def norm_and_rotate(self, x: Array, at: At, gain: Array | None) -> Array:
        """Normalize queries or keys (…, heads, T, D), if `qk_norm`, and apply the position to them."""
        x = at.gpt.norm(x) if self.qk_norm else x
        return at.rotate(x if gain is None else x * gain)

    def mask(self, scores: Array, at: At) -> Array:
        """Mask the future, and with a window the past before it, with -inf."""
        return scores.causal(0 if self.is_full(at.layer, at.gpt.layers) else self.window)

    def is_full(self, layer: int, layers: int) -> bool:
        """Return whether the pattern lets this layer attend to all tokens, in spite of the window."""
        pattern = self.window_pattern
        return bool(pattern) and (layer == layers - 1 or pattern[layer % len(pattern)] == "L")
