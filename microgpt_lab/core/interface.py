"""The interface of a part: what it declares, and what it is called with."""

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


class LinearLayer:
    """A linear layer as a function: x Wᵀ + b, (…, in) to (…, out)."""

    __slots__ = ("_b", "_w")

    def __init__(self, w: Array, b: Array | None):
        self._w, self._b = w, b

    def __call__(self, x: Array) -> Array:
        y = x @ self._w.T
        return y if self._b is None else y + self._b

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a weight that is declared as Linear is a function: write w(x), not w.{name}")


class Position:
    """Base class of positions, which tell the model where tokens are. Override one or more of the methods.

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
    """The context of a call: model, layer and tokens, and the position, cache and dropout to apply."""

    gpt: Any
    w: Weights
    ids: Ids
    places: Places
    cache: Any
    masks: Masks
    aux: dict[str, Array] | None
    first_layer_values: dict[str, Array]
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

    def first_layer(self, name: str, x: Array) -> Array:
        """Return the x that the first layer gave under this name."""
        return self.first_layer_values.setdefault(f"{self.kind} {name}", x)

    def dropout(self, x: Array) -> Array:
        """Drop attention weights, (…, heads, T, T), in training, at the rate of the part's `dropout`."""
        if self.gpt.attention_dropout is None:
            raise AttributeError("at.dropout needs an attribute `dropout` of the attention: the rate")
        if not (self.masks and self.gpt.attention_dropout):
            return x
        return x * self.masks[self.layer - self.gpt.layers]  # the last masks, one for each layer

    def see(self, name: str, x: Array) -> Array:
        """Return x, named for `seen` and `looking`: "pattern" is layer0.attention.pattern, say."""
        return see(f"layer{self.layer}.{self.kind}.{name}", x)

    @property
    def collects_losses(self) -> bool:
        """Whether `add_loss` has an effect."""
        return self.aux is not None

    def add_loss(self, name: str, loss: Array) -> None:
        """Add an auxiliary loss of each token in training, (…, T, 1), which the part's `aux_losses` lists."""
        if self.aux is not None:
            if name not in self.gpt.aux_losses:
                listed = f"the part's `aux_losses`, {self.gpt.aux_losses}"
                raise ValueError(f"the loss '{name}' is added, but is not in {listed}")
            self.aux[name] = self.aux[name] + loss if name in self.aux else loss
