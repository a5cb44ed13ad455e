"""The terms of the residual stream: embedding and position, each head by the token it reads, each MLP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from microgpt_lab.core.autograd import data_of
from microgpt_lab.inspection.direct import Shares, between, carry
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.tensors.tensor import Product, Tensor

ROUNDING = 1e-12


class Term(NamedTuple):
    """One term of the sum: see `attribution.Entry`."""

    name: str
    kind: str
    layer: int | None = None
    head: int | None = None
    source: int | None = None


class Added(NamedTuple):
    """A tensor (T, C) that is added to the residual stream, as terms, and their shares in it (T · C, K).

    held: whether the shares hold the scale of a norm inside the part, such as that of differential attention.
    """

    tensor: Tensor
    terms: list[Term]
    shares: np.ndarray
    held: bool = False


def added(replay: Replay, *, neurons: bool = False) -> Iterator[Added]:
    """Yield what is added to the residual stream, in order: first the embeddings, then by layer."""
    yield embeddings(replay)
    for i in range(replay.model.layers):
        yield attention(replay, i)
        yield mlp(replay, i, neurons)


def embeddings(replay: Replay) -> Added:
    """Split the embeddings into that of the token, and what the position makes of it."""
    embed = replay.inside["embed"]
    token = array(replay.weights["wte"])[replay.ids] * replay.model.embed_scale
    position = array(embed) - token
    return Added(
        embed,
        [Term("token", "token"), Term("position", "position")],
        np.stack([token.ravel(), position.ravel()], -1),
    )


def attention(replay: Replay, layer: int) -> Added:
    """Split attention's output by head and by the token that the head reads, where a pattern weights values.

    The last term is what is left: biases, or all of it if no product has the pattern as its left factor.
    """
    name = f"layer{layer}.attention"
    out, pattern = replay.inside[name], replay.inside.get(f"{name}.pattern")
    product = weighted_by(pattern, out) if pattern is not None else None
    terms: list[Term] = []
    shares, held = np.zeros((len(out.data), 0)), False
    if pattern is not None and product is not None:
        heads, (T, S) = pattern.shape[0], pattern.shape[-2:]
        places = {id(value): (i // (T * S)) * S + i % S for i, value in enumerate(pattern.data)}
        start = np.zeros((len(product.data), heads * S))
        for row, dot in zip(start, product.data, strict=True):
            for weight, value in zip(dot.left, dot.right, strict=True):
                row[places[id(weight)]] += weight.data * value.data
        terms = [Term(f"layer{layer} head {h}", "head", layer, h, s) for h in range(heads) for s in range(S)]
        found = carry(out, [(product, start)])
        shares, held = found.of(out.data), bool(found.held)
    return with_rest(out, terms, shares, Term(f"layer{layer} attention", "attention", layer), held)


def weighted_by(pattern: Tensor, out: Tensor) -> Tensor | None:
    """Return the product pattern @ values on the way to attention's output."""
    known = set(map(id, pattern.data))
    for tensor in between(out, {id(pattern)}):
        if isinstance(tensor, Product) and all(id(weight) in known for weight in tensor.data[0].left):
            return tensor
    return None


def mlp(replay: Replay, layer: int, neurons: bool) -> Added:
    """Return an MLP's output as one term, or by hidden unit."""
    name = f"layer{layer}.mlp"
    out, post = replay.inside[name], replay.inside.get(f"{name}.post")
    terms: list[Term] = []
    shares, held = np.zeros((len(out.data), 0)), False
    if neurons and post is not None:
        units = post.shape[-1]
        start = np.tile(np.eye(units), (len(replay), 1)) * array(post).reshape(-1, 1)
        terms = [Term(f"layer{layer} neuron {j}", "neuron", layer, source=j) for j in range(units)]
        found = carry(out, [(post, start)])
        shares, held = found.of(out.data), bool(found.held)
    return with_rest(out, terms, shares, Term(f"layer{layer} MLP", "mlp", layer), held)


def with_rest(out: Tensor, terms: list[Term], shares: np.ndarray, rest: Term, held: bool) -> Added:
    """Add a term for what the others leave of a tensor, if it is more than rounding."""
    whole = array(out).reshape(-1, 1)
    left = whole - shares.sum(-1, keepdims=True)
    if terms and np.abs(left).max() <= ROUNDING * np.abs(whole).max():
        return Added(out, terms, shares, held)
    name = f"{rest.name} biases" if terms else rest.name
    return Added(out, [*terms, rest._replace(name=name)], np.concatenate([shares, left], -1), held)


def array(tensor: Tensor) -> np.ndarray:
    """Return the numbers of a tensor as an array."""
    return np.array([data_of(x) for x in tensor.data]).reshape(tensor.shape)


def starts(found: list[Added]) -> list[tuple[Tensor, np.ndarray]]:
    """Return the tensors, each with its shares in the terms of all, (T · C, K)."""
    width, before, placed = sum(len(each.terms) for each in found), 0, []
    for each in found:
        whole = np.zeros((len(each.shares), width))
        whole[:, before : before + len(each.terms)] = each.shares
        placed.append((each.tensor, whole))
        before += len(each.terms)
    return placed


def names_of_held(replay: Replay, found: list[Added], shares: Shares) -> list[str]:
    """Return the names of the tensors for which something was held: "final_norm", say."""
    held = {id(each.tensor) for each in shares.held}
    names = {id(tensor): name for name, tensor in reversed(replay.inside.items())}  # the first name of each
    inner = (names[id(each.tensor)] for each in found if each.held)
    listed = {f"{name}.mixed" if f"{name}.mixed" in replay.inside else name for name in inner}
    pending = False
    for tensor in between(replay.inside["logits"], {id(each.tensor) for each in found}):
        pending = pending or id(tensor) in held
        if pending and (name := names.get(id(tensor))):
            listed.add(name)
            pending = False
    return [name for name in replay.inside if name in listed]
