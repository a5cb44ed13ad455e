"""What the parts of a GPT declare, and what they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from microgpt_lab.core.ops import Array
from microgpt_lab.core.places import Places
from microgpt_lab.core.see import see

Matrix = list[list[float]]
Weights = dict[str, Array]
Ids = Sequence[int]  # or an integer array (…, T)
Masks = Sequence[Array]
ROLES = ("embedding", "hidden", "residual", "head", "scale")


class Shape(NamedTuple):
    """A matrix (out, in) of weights that the run's `init` draws. The part gets it as a tensor.

    role: what it is for: "embedding" (its rows are looked up), "hidden", "residual" (its product is added
        to the residual stream) or "head" (its product is the logits). Weights that are declared as
        numbers, and biases, have the role "scale".
    linear: whether the part gets a linear layer instead, as a function, with a bias if the model has `bias`.
    """

    out: int
    in_: int
    role: str = "hidden"
    linear: bool = False


def Linear(out: int, in_: int, role: str = "hidden") -> Shape:
    """Declare a linear layer: x Wᵀ + b, (…, in) to (…, out). b starts at 0. The part gets a function."""
    return Shape(out, in_, role, linear=True)


class Position:
    """Base class of positions, which tell the model where tokens are. Override one of the three methods.

    Each method gets the part's weights and tables by name.
    """

    def embed(self, x: Array, places: Places, **w: Array) -> Array:
        """Called once: change the embeddings (…, T, C) of the tokens at these places."""
        return x

    def rotate(self, x: Array, places: Places, **w: Array) -> Array:
        """Called in every layer: change the queries, or the keys, (…, heads, T, D)."""
        return x

    def bias(self, scores: Array, places: Places, **w: Array) -> Array:
        """Called in every layer: change the scores (…, heads, T, S) of queries at these places."""
        return scores


class At(NamedTuple):
    """Where a part computes: the model, the layer, the tokens, and what other parts do for it there."""

    gpt: Any
    w: Weights
    ids: Ids
    places: Places
    cache: Any
    masks: Masks
    costs: dict[str, Array] | None
    firsts: dict[str, Array]
    position: dict[str, Array]
    layer: int = 0
    kind: str = ""

    def rotate(self, x: Array) -> Array:
        """Apply the position to queries or keys, (…, heads, T, D)."""
        return self.gpt.position.rotate(x, self.places, **self.position)

    def bias(self, scores: Array) -> Array:
        """Apply the position to scores, (…, heads, T, S)."""
        return self.gpt.position.bias(scores, self.places, **self.position)

    def remember(self, *states: Array) -> Sequence[Array]:
        """Return states of these tokens, (…, T, D) each, after those of all previous tokens."""
        return states if self.cache is None else self.cache.extend(f"{self.layer} {self.kind}", *states)

    def first(self, name: str, x: Array) -> Array:
        """Return the x that the first layer gave under this name."""
        return self.firsts.setdefault(f"{self.kind} {name}", x)

    def dropout(self, x: Array) -> Array:
        """Drop attention weights, (…, heads, T, T), in training, at the rate of the part's `dropout`."""
        return x * self.masks[self.layer - self.gpt.layers] if self.masks and self.gpt.weights_dropped else x

    def see(self, name: str, x: Array) -> Array:
        """Return x, named for those who look: "pattern" is layer0.attention.pattern, say."""
        return see(f"layer{self.layer}.{self.kind}.{name}", x)

    @property
    def training(self) -> bool:
        """Whether `charge` has an effect."""
        return self.costs is not None

    def charge(self, name: str, cost: Array) -> None:
        """Add a cost to each token's loss in training, (…, T, 1). The part lists `name` in its `charges`."""
        if self.costs is not None:
            self.costs[name] = self.costs[name] + cost if name in self.costs else cost
