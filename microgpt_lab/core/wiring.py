"""Connect the parts of a GPT: name and draw their weights, and call each with its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from random import Random
from typing import Any

from microgpt_lab.core.derived import cross_entropy
from microgpt_lab.core.interface import At, Ids, Masks, Matrix, Shape, Weights
from microgpt_lab.core.ops import Array
from microgpt_lab.core.places import Places, Table
from microgpt_lab.core.reprs import call_repr
from microgpt_lab.core.see import see
from microgpt_lab.errors import at_least


class Wiring:
    """Base class of the GPT. Weights are named after the parts: layer0.mlp.fc1."""

    vocab_size: int
    position: Any
    attention: Any
    mlp: Any
    norm: Any
    block: Any
    init: Any
    loss: Any
    layers: int
    heads: int
    embed: int
    block_size: int
    tie_embeddings: bool
    embed_norm: bool
    final_norm: bool
    bias: bool
    logits: Callable[..., Array]

    def __repr__(self) -> str:
        return call_repr(self, brief=True)

    def __post_init__(self) -> None:
        at_least(1, layers=self.layers, heads=self.heads, embed=self.embed, block_size=self.block_size)
        self.head_dim = getattr(self.attention, "head_dim", 0)  # width of each head
        if not self.head_dim and self.embed % self.heads:
            raise ValueError(f"embed={self.embed} must be divisible by heads={self.heads}")
        self.head_dim = self.head_dim or self.embed // self.heads
        self.output_matrix = "wte" if self.tie_embeddings else "lm_head"
        self.dropout_sites = 1 + 2 * self.layers  # number of masks (T, C) that `logits` takes
        self.weights_dropped = getattr(self.attention, "dropout", 0.0)  # rate of further masks, one a layer
        asked = inspect.signature(self.block).parameters.values()
        self.norms = [p.name for p in asked if p.name.startswith("norm") and p.kind is not p.KEYWORD_ONLY]
        self.declared = dict(self.declarations())
        self.roles = {
            name: each.role if isinstance(each, Shape) else "scale" for name, each in self.declared.items()
        }
        self.parts = {kind: getattr(self, kind) for kind in ("position", "attention", "mlp", "block")}
        self.plain_loss = getattr(self.loss, "func", self.loss) is cross_entropy
        charges = [name for part in self.parts.values() for name in getattr(part, "charges", ())]
        terms = ["ce", *charges] if self.plain_loss else ["ce", "penalty", *charges]
        self.loss_terms = terms if len(terms) > 1 else []

    @cached_property
    def tables(self) -> dict[str, dict[str, Table]]:
        """The tables of each kind of part, by the part's own names."""
        return {
            kind: {name: Table(rows) for name, rows in part.tables(self).items()}
            for kind, part in self.parts.items()
            if hasattr(part, "tables")
        }

    def at(self, w: Weights, ids: Ids, x: Array, cache: Any, masks: Masks, costs: Any) -> At:
        """Return what parts need to know of these tokens, whose embeddings are x (…, T, C)."""
        tokens = x.shape[-2]
        places = Places(0, tokens) if cache is None else cache.places(tokens)
        return At(self, w, ids, places, cache, masks, costs, {})

    def declarations(self) -> Iterator[tuple[str, Shape | Matrix]]:
        """Yield all weights by name, in microgpt.py's order: to be drawn, or initial numbers."""
        yield "wte", Shape(self.vocab_size, self.embed, "embedding")
        yield from self.part_weights("position", self.position)
        if not self.tie_embeddings:
            yield "lm_head", Shape(self.vocab_size, self.embed, "head")
        for i in range(self.layers):
            for kind in ("attention", "mlp", "block"):
                yield from self.part_weights(f"layer{i}.{kind}", getattr(self, kind))
        norms = [f"layer{i}.{name}" for i in range(self.layers) for name in self.norms]
        if self.embed_norm:
            norms.insert(0, "embed_norm")
        for norm in [*norms, "final_norm"] if self.final_norm else norms:
            learnable = self.norm.init(self.embed) if hasattr(self.norm, "init") else {}
            yield from ((f"{norm}.{name}", matrix) for name, matrix in learnable.items())

    def part_weights(self, place: str, part: Any) -> Iterator[tuple[str, Shape | Matrix]]:
        for name, each in (part.weights(self) if hasattr(part, "weights") else {}).items():
            yield f"{place}.{name}", each
            if self.bias and isinstance(each, Shape) and each.linear:
                yield f"{place}.{name}_bias", [[0.0] * each.out]

    def nll(self, w: Weights, ids: Ids, targets: Ids) -> Array:
        """Compute the negative log-likelihood of each target in nats: (…, T) to (…, T, 1)."""
        return cross_entropy(self.logits(w, ids), targets)

    def initial_weights(self, rng: Random) -> dict[str, Matrix]:
        """Draw the initial weights, matrices (out, in) by name."""
        return {
            name: self.init(each, self, rng) if isinstance(each, Shape) else each
            for name, each in self.declared.items()
        }

    def own(self, w: Weights, place: str, x: Array) -> dict[str, Any]:
        """Return what the part at this place declared, by its names: weights, linear layers, tables."""
        found: dict[str, Any] = under(w, place)
        for name in list(found):
            each = self.declared[f"{place}.{name}"]
            if isinstance(each, Shape) and each.linear:
                found[name] = partial(linear, w=found[name], b=found.pop(f"{name}_bias", None))
        tables = self.tables.get(place.rpartition(".")[2], {})
        return found | {name: x.table(rows) for name, rows in tables.items()}

    def sublayers(self, at: At) -> list[Callable[[Array], Array]]:
        """Return a layer's attention, MLP and norms as functions of x, with their weights and dropout."""

        def sublayer(kind: str, site: int) -> Callable[[Array], Array]:
            part, here, place = getattr(self, kind), at._replace(kind=kind), f"layer{at.layer}.{kind}"

            def apply(x: Array) -> Array:
                y = see(place, part(x, here, **self.own(at.w, place, x)))
                return self.drop(y, at.masks, 2 * at.layer + site)

            return apply

        norms = [partial(self.normed, at.w, f"layer{at.layer}.{name}") for name in self.norms]
        return [sublayer("attention", 1), sublayer("mlp", 2), *norms]

    def normed(self, w: Weights, place: str, x: Array) -> Array:
        """Apply the norm at this place, "layer0.norm1" say, with its learnable parameters in `w`, if any."""
        return see(place, self.norm(see(f"{place}.input", x), **under(w, place)))

    def drop(self, x: Array, masks: Masks, site: int) -> Array:
        """Multiply x by the mask of this site, if there are masks (T, C)."""
        return x * masks[site] if len(masks) >= self.dropout_sites else x


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """x Wᵀ + b, (…, in) to (…, out)."""
    y = x @ w.T
    return y if b is None else y + b


def under(w: Weights, place: str) -> Weights:
    """Return the weights of the part at this place, by its own names."""
    prefix = f"{place}."
    return {name.removeprefix(prefix): w[name] for name in w if name.startswith(prefix)}
