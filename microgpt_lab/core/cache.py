"""The key-value cache of attention: what generation keeps of the tokens before."""

from __future__ import annotations

from microgpt_lab.core.ops import Array


class Cache:
    """Keys and values of the tokens seen so far, for each layer, so that a new token costs one row.

    Both are kept as (…, head_dim, T): the array protocol joins along the last axis.
    """

    def __init__(self) -> None:
        self.layers: dict[int, tuple[Array, Array]] = {}
        self.length = 0

    def extend(self, layer: int, k: Array, v: Array) -> tuple[Array, Array]:
        """Append those of new tokens, (…, T, head_dim), and return all."""
        k, v = k.T, v.T
        if layer in self.layers:
            old_k, old_v = self.layers[layer]
            k, v = old_k.concat(k), old_v.concat(v)
        self.layers[layer] = k, v
        return k.T, v.T
