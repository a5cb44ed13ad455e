"""The key-value cache of attention, used in generation."""

from __future__ import annotations

from microgpt_lab.core.ops import Array


class Cache:
    """Keys and values of all previous tokens in each layer, so that a new token costs one row.

    Both are stored as (…, head_dim, T), because the array protocol concatenates along the last axis.
    """

    def __init__(self) -> None:
        self.layers: dict[int, tuple[Array, Array]] = {}
        self.length = 0

    def extend(self, layer: int, k: Array, v: Array) -> tuple[Array, Array]:
        """Append the keys and values of new tokens, (…, T, head_dim), and return those of all tokens."""
        k, v = k.T, v.T
        if layer in self.layers:
            old_k, old_v = self.layers[layer]
            k, v = old_k.concat(k), old_v.concat(v)
        self.layers[layer] = k, v
        return k.T, v.T
