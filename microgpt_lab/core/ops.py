"""Functions of tensors that each backend implements; `derived` has those that are made of them.

Each function takes a tensor of any backend. Elementwise functions also take a `Value`. Reductions
are over the last axis, which stays with length 1.
"""

from __future__ import annotations

from typing import Any

from microgpt_lab.core.autograd import Value

Array = Any  # a backend's tensor, which implements the array protocol (docs/backends.md)


def exp(x: Array) -> Array:
    return x.apply("exp")


def log(x: Array) -> Array:
    return x.apply("log")


def sqrt(x: Array) -> Array:
    return x.apply("sqrt")


def tanh(x: Array) -> Array:
    return x.apply("tanh")


def erf(x: Array) -> Array:
    """The error function, 2/√π ∫₀ˣ exp(-t²) dt."""
    return x.apply("erf")


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return x.apply("sigmoid")


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return x.apply("softplus")


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return x.apply("relu")


def abs(x: Array) -> Array:
    return x.apply("abs")


def where(condition: Array, a: Array | float, b: Array | float) -> Array:
    """Select `a` where the condition (a comparison such as `x > 0`) holds, and `b` elsewhere."""
    if isinstance(condition, bool):  # a comparison of Values
        picked = a if condition else b
        return picked if isinstance(picked, Value) else Value(picked)
    return condition.where(a, b)


def sum(x: Array) -> Array:
    """Sum over the last axis: (…, C) to (…, 1)."""
    return x.sum()


def max(x: Array) -> Array:
    """Maximum over the last axis: (…, C) to (…, 1)."""
    return x.max()


def logsumexp(x: Array) -> Array:
    """log Σ exp(x) over the last axis, without overflow for large x: (…, C) to (…, 1)."""
    return x.logsumexp()


def softmax(x: Array) -> Array:
    """Softmax, exp(x) / Σ exp(x) over the last axis: positive numbers that sum to 1. (…, C) to (…, C)."""
    return x.softmax()
