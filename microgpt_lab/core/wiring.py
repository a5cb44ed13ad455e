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
    logit_softcap: float
    embed_scale: float
    logits: Callable[..., Array]

    def __repr__(self) -> str:
        return call_repr(self, brief=True)

    def __post_init__(self) -> None:
        at_least(1, layers=self.layers, heads=self.heads, embed=self.embed, block_size=self.block_size)
        at_least(0, logit_softcap=self.logit_softcap, embed_scale=self.embed_scale)
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
        self.names = names_by_place(self.declared)
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
        return At(self, w, ids, places, cache, masks, costs, {}, self.own(w, "position", x))

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
        found = {
            own: partial(linear, w=w[name], b=w.get(bias)) if bias else w[name]
            for own, name, bias in self.names.get(place, ())
        }
        for name, rows in self.tables.get(place.rpartition(".")[2], {}).items():
            found[name] = x.table(rows)
        return found

    def sublayers(self, at: At, layer: int) -> list[Callable[[Array], Array]]:
        """Return a layer's attention, MLP and norms as functions of x, with their weights and dropout."""

        def sublayer(kind: str, site: int) -> Callable[[Array], Array]:
            part, place = getattr(self, kind), f"layer{layer}.{kind}"

            def apply(x: Array) -> Array:
                y = part(x, at._replace(layer=layer, kind=kind), **self.own(at.w, place, x))
                return self.drop(see(place, y), at.masks, 2 * layer + site)

            return apply

        norms = [partial(self.normed, at.w, f"layer{layer}.{name}") for name in self.norms]
        return [sublayer("attention", 1), sublayer("mlp", 2), *norms]

    def normed(self, w: Weights, place: str, x: Array) -> Array:
        """Apply the norm at this place, "layer0.norm1" say, with its learnable parameters in `w`, if any."""
        return see(place, self.norm(see(f"{place}.input", x), **self.own(w, place, x)))

    def drop(self, x: Array, masks: Masks, site: int) -> Array:
        """Multiply x by the mask of this site, if there are masks (T, C)."""
        return x * masks[site] if len(masks) >= self.dropout_sites else x


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """x Wᵀ + b, (…, in) to (…, out)."""
    y = x @ w.T
    return y if b is None else y + b


def names_by_place(declared: dict[str, Shape | Matrix]) -> dict[str, list[tuple[str, str, str]]]:
    """Return what each place declared: the part's own name, the weight's, and the bias's of a linear layer.

    {"layer0.mlp": [("fc1", "layer0.mlp.fc1", "layer0.mlp.fc1_bias"), …]}
    """
    biases = {n: f"{n}_bias" for n, each in declared.items() if isinstance(each, Shape) and each.linear}
    names: dict[str, list[tuple[str, str, str]]] = {}
    for name in declared:
        if name not in biases.values():
            place, _, own = name.rpartition(".")
            names.setdefault(place, []).append((own, name, biases.get(name, "")))
    return names
