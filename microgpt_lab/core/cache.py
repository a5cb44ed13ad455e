"""The cache of what parts remember of previous tokens, such as keys and values, used in generation."""

from __future__ import annotations

from microgpt_lab.core.ops import Array
from microgpt_lab.core.places import Places


class Cache:
    """What each part remembers of all previous tokens in each layer, so that a new token costs one row.

    Tensors are stored as (…, D, T), because the array protocol concatenates along the last axis.
    """

    def __init__(self) -> None:
        self.states: dict[str, list[Array]] = {}
        self.length = 0

    def copy(self) -> Cache:
        """Return a cache of the same tokens. Tokens that are added to one are not in the other."""
        cache = Cache()
        cache.states, cache.length = dict(self.states), self.length
        return cache

    def extend(self, owner: str, *states: Array) -> list[Array]:
        """Append what `owner` remembers of new tokens, (…, T, D) each, and return it for all tokens.

        It may do so several times for the same tokens, in the same order each time.
        """
        kept = self.states.get(owner, [])
        start = sum(
            state.shape[-1] == self.length for state in kept
        )  # those of earlier calls for these tokens
        end = start + len(states)
        new = [state.T for state in states]
        if kept[start:]:
            new = [old.concat(x) for old, x in zip(kept[start:end], new, strict=True)]
        self.states[owner] = [*kept[:start], *new, *kept[end:]]
        return [state.T for state in new]

    def places(self, tokens: int) -> Places:
        """Return the places of this many new tokens, which then count as previous ones."""
        start, self.length = self.length, self.length + tokens
        return Places(start, self.length)
