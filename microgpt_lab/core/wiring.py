"""Connect the parts of a GPT: name and draw their weights, and call each with its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from random import Random
from typing import Any

from microgpt_lab.core.derived import cross_entropy
from microgpt_lab.core.interface import At, Ids, LinearLayer, Masks, Matrix, Shape, Weights
from microgpt_lab.core.ops import Array
from microgpt_lab.core.places import Places, Table
from microgpt_lab.core.reprs import call_repr
from microgpt_lab.core.see import see
from microgpt_lab.errors import at_least

RESERVED = {"train", "train_mean", "ce", "penalty", "val", "val_unseen"}  # metrics loss/…


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
        self.attention_dropout = getattr(self.attention, "dropout", None)  # rate of one more mask a layer
        asked = inspect.signature(self.block).parameters.values()
        self.norms = [p.name for p in asked if p.name.startswith("norm") and p.kind is not p.KEYWORD_ONLY]
        self.declared = unique(self.declarations())
        self.names = names_by_path(self.declared, self.bias)
        self.roles = {
            name: each.role if isinstance(each, Shape) else "scale" for name, each in self.declared.items()
        }
        self.parts = {kind: getattr(self, kind) for kind in ("position", "attention", "mlp", "block")}
        self.loss_is_cross_entropy = getattr(self.loss, "func", self.loss) is cross_entropy
        aux = [name for part in self.parts.values() for name in getattr(part, "aux_losses", ())]
        if taken := sorted(RESERVED & set(aux)):
            raise ValueError(f"an auxiliary loss cannot be called '{taken[0]}', the name of another metric")
        self.aux_losses = list(dict.fromkeys(aux))  # parts that use the same name share it
        terms = ["ce"] if self.loss_is_cross_entropy else ["ce", "penalty"]
        self.loss_terms = [*terms, *self.aux_losses] if len(terms) > 1 or aux else []

    @cached_property
    def tables(self) -> dict[str, dict[str, Table]]:
        """The tables of each kind of part, by the part's own names."""
        tables = {}
        for kind, part in self.parts.items():
            rows = part.tables(self) if hasattr(part, "tables") else {}
            weights = part.weights(self) if rows and hasattr(part, "weights") else {}
            if twice := sorted(rows.keys() & weights.keys()):
                raise ValueError(f"{kind}: weights and tables both declare '{twice[0]}'")
            tables[kind] = {name: Table(numbers) for name, numbers in rows.items()}
        return tables

    def at(self, w: Weights, ids: Ids, x: Array, cache: Any, masks: Masks, aux: Any) -> At:
        """Return what parts need to know of these tokens, whose embeddings are x (…, T, C)."""
        tokens = x.shape[-2]
        places = Places(0, tokens) if cache is None else cache.places(tokens)
        return At(self, w, ids, places, cache, masks, aux, {}, self.arguments(w, "position", x))

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

    def part_weights(self, path: str, part: Any) -> Iterator[tuple[str, Shape | Matrix]]:
        for name, each in (part.weights(self) if hasattr(part, "weights") else {}).items():
            if "." in name:
                raise ValueError(f"the name of a weight has no dots, but '{name}' of {path} has")
            yield f"{path}.{name}", each
            if self.bias and isinstance(each, Shape) and each.linear:
                yield f"{path}.{name}_bias", [[0.0] * each.out]

    def listed(self, aux: dict[str, Array]) -> list[Array]:
        """Return the auxiliary losses in the order of `aux_losses`. ValueError if one was never added."""
        for name in self.aux_losses:
            if name not in aux:
                raise ValueError(f"the loss '{name}' is in `aux_losses`, but is never added")
        return [aux[name] for name in self.aux_losses]

    def nll(self, w: Weights, ids: Ids, targets: Ids) -> Array:
        """Compute the negative log-likelihood of each target in nats: (…, T) to (…, T, 1)."""
        return cross_entropy(self.logits(w, ids), targets)

    def initial_weights(self, rng: Random) -> dict[str, Matrix]:
        """Draw the initial weights, matrices (out, in) by name."""
        return {
            name: self.init(each, self, rng) if isinstance(each, Shape) else each
            for name, each in self.declared.items()
        }

    def arguments(self, w: Weights, path: str, x: Array) -> dict[str, Any]:
        """Return what the part at this path declared, by its names: weights, linear layers, tables."""
        found = {
            own: w[name] if bias is None else LinearLayer(w[name], w.get(bias))
            for own, name, bias in self.names.get(path, ())
        }
        for name, rows in self.tables.get(path.rpartition(".")[2], {}).items():
            found[name] = x.table(rows)
        return found

    def sublayers(self, at: At, layer: int) -> list[Callable[[Array], Array]]:
        """Return a layer's attention, MLP and norms as functions of x, with their weights and dropout."""

        def sublayer(kind: str, site: int) -> Callable[[Array], Array]:
            part, path = getattr(self, kind), f"layer{layer}.{kind}"

            def apply(x: Array) -> Array:
                y = part(x, at._replace(layer=layer, kind=kind), **self.arguments(at.w, path, x))
                return self.apply_dropout(see(path, y), at.masks, 2 * layer + site)

            return apply

        norms = [partial(self.normed, at.w, f"layer{layer}.{name}") for name in self.norms]
        return [sublayer("attention", 1), sublayer("mlp", 2), *norms]

    def normed(self, w: Weights, path: str, x: Array) -> Array:
        """Apply the norm at this path, "layer0.norm1" say, with its learnable parameters in `w`, if any."""
        return see(path, self.norm(see(f"{path}.input", x), **self.arguments(w, path, x)))

    def apply_dropout(self, x: Array, masks: Masks, site: int) -> Array:
        """Multiply x by the mask of this site, if there are masks (T, C)."""
        return x * masks[site] if len(masks) >= self.dropout_sites else x


def unique(pairs: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dict. ValueError if two have the same name."""
    found: dict[str, Any] = {}
    for name, each in pairs:
        if name in found:
            raise ValueError(f"the weight {name} is declared twice")
        found[name] = each
    return found


def names_by_path(
    declared: dict[str, Shape | Matrix], bias: bool
) -> dict[str, list[tuple[str, str, str | None]]]:
    """Return what is declared at each path: the part's own name, the weight's, and the linear layer's bias.

    {"layer0.mlp": [("fc1", "layer0.mlp.fc1", "layer0.mlp.fc1_bias"), …]}. The last is "" for a linear layer
    without a bias, and None for other weights.
    """
    layers = [name for name, each in declared.items() if isinstance(each, Shape) and each.linear]
    biases = {name: f"{name}_bias" if bias else "" for name in layers}
    added = set(biases.values()) if bias else ()
    names: dict[str, list[tuple[str, str, str | None]]] = {}
    for name in declared:
        if name not in added:
            path, _, own = name.rpartition(".")
            names.setdefault(path, []).append((own, name, biases.get(name)))
    return names
