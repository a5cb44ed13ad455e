"""Check that a backend computes what the python backend computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

from microgpt_lab.checks.gradients import noise
from microgpt_lab.checks.training import SHORT, assert_same_losses
from microgpt_lab.core.places import Places, Table
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.plugins import part, registry

TABLE = Table([[0.5, -1.0, 2.0, 0.25], [1.5, 0.0, -0.5, 3.0], [-2.0, 1.0, 0.75, -1.5]])
BARRED = Table([[0.0], [-math.inf]])  # by distance: the token before each is hidden


def assert_operations(backend: Any) -> None:
    """Check the results and gradients of each operation of the array protocol."""
    for name, f in OPERATIONS.items():
        assert_same_gradients(backend, f, name)


def assert_training(backend: Any) -> None:
    """Check the losses of training, with batches in parts, dropout, clipped gradients, and many options."""
    assert_same_losses(backend, batch_size=3, accumulate=2, dropout=0.2, grad_clip=0.5)
    options = {"kv_heads": 1, "window": 3, "qk_norm": True, "dropout": 0.3, "sinks": True}
    assert_same_losses(backend, **SHORT, attention=part("attention", "multihead", **options))


def assert_every_part(backend: Any) -> None:
    """Check the losses of training with each installed optimizer and part of a model.

    On numpy, the check of each part does that.
    """
    if type(backend) is type(part("backend", "numpy")):
        return
    for each in registry().parts.values():
        try:
            if each.kind == "optimizer":
                assert_same_losses(backend, optimizer=each.build())
            elif each.kind in MODEL_KINDS:
                assert_same_losses(backend, **SHORT, **{each.kind: each.build()})
        except AssertionError as error:
            raise AssertionError(f"with {each.kind}={each.name}: {error}") from error


BACKEND: dict[str, Callable[[Any], None]] = {
    "operations": assert_operations,
    "training": assert_training,
    "every part": assert_every_part,
}
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b * 2.0 + 1.0,
    "subtract": lambda a, b: 1.0 - (a - b) - 0.5,
    "multiply": lambda a, b: a * b * (a * a),
    "divide": lambda a, b: 3.0 / (b * b + 1.0) + a / (b * b + 2.0) / 7.0,
    "power": lambda a, b: a**2 + b**3.0 + (a * a + 1.0) ** -0.5 + (b * b + 1.0) ** 1.5 - a**1,
    "columns and rows": lambda a, b: a * b[:1] + b[1:2] / (a[2:].sum() + 20.0) + a.reshape(4, 3)[:2].total(),
    "matrix product": lambda a, b: (a @ b.T) @ (b + a),
    "heads": lambda a, b: (
        (a.split_heads(2) @ b.split_heads(2).T).causal().softmax() @ a.split_heads(2)
    ).merge_heads(),
    "slice and concat": lambda a, b: a[1:3].concat(b, a[:1]) ** 2.0,
    "where": lambda a, b: (a > b).where(a * 2.0, b) + (a < 0.0).where(1.0, a),
    "reductions": lambda a, b: a.sum() * b.max() + a.logsumexp() * b.total() - a.softmax(),
    "window": lambda a, b: (a.take([1, 2]) @ b.T).causal(2).softmax() ** 2.0,
    "places": lambda a, b: a.take(Places(1, 3)) * b.table(TABLE).take(Places(0, 2)),
    "distances": lambda a, b: (
        (a.by_distance(Places(2, 5)) + b.table(BARRED).by_distance(Places(2, 5))).softmax() ** 2.0
    ),
    "one number for each head": lambda a, b: a.by_distance(Places(0, 3)) * b.take([1]).split_heads(4),
    "one condition for each row": lambda a, b: (a[:1] > 0.0).where(a, b),
    "concat of heads": lambda a, b: (
        a.split_heads(2).concat(b.split_heads(2)).merge_heads() * b.table(TABLE).concat(a * 2.0)
    ),
    "rows and numbers": lambda a, b: a.take([2, 0, 2]) * b.pick([1, 3, 0]) + a.take(range(3)),
    **{name: lambda a, b, name=name: (a * b).apply(name) for name in ("exp", "tanh", "erf", "sigmoid")},
    **{name: lambda a, b, name=name: (a + b).apply(name) for name in ("softplus", "relu", "abs")},
    **{name: lambda a, b, name=name: (a * a + 0.1).apply(name) * b for name in ("log", "sqrt")},
}


def assert_same_gradients(backend: Any, f: Callable[..., Any], name: str) -> None:
    """Check that `f` of two matrices (3, 4), and its gradients, equal those of the python backend."""
    rows = {"a": noise(3, 4).tolist(), "b": noise(3, 4, seed=1).tolist()}
    results = []
    for each in (backend, registry().get("backend", "python").build()):
        weights = {key: each.tensor(matrix) for key, matrix in rows.items()}
        value, grads = each.value_and_grad(lambda w: (f(w["a"], w["b"]) * 0.7).total(), weights)
        plain = f(weights["a"], weights["b"]).tolist()
        results.append([value.item(), *chain(*plain, *grads["a"].tolist(), *grads["b"].tolist())])
    for x, y in zip(*results, strict=True):
        assert math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12), (
            f"a result or gradient of the operation '{name}' is {x}, but {y} on the python backend"
        )
