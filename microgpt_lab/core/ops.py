"""Mathematics of tensors, written once for every backend.

Each function takes a tensor of any backend; those of one number also take a `Value`. Reductions
run over the last axis and keep it with length 1.
"""

from __future__ import annotations

from typing import Any

from microgpt_lab.core.autograd import Value

Array = Any  # a backend's tensor: what answers to the array protocol


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
    """`a` where the condition (a comparison such as `x > 0`) holds, `b` elsewhere."""
    if isinstance(condition, bool):  # of two Values
        picked = a if condition else b
        return picked if isinstance(picked, Value) else Value(picked)
    return condition.where(a, b)


def maximum(a: Array, b: Array | float) -> Array:
    """The larger of the two, number by number."""
    return where(a > b, a, b)


def sum(x: Array) -> Array:
    """(…, C) to (…, 1)."""
    return x.sum()


def mean(x: Array) -> Array:
    """(…, C) to (…, 1)."""
    return x.sum() * (1 / x.shape[-1])


def max(x: Array) -> Array:
    """(…, C) to (…, 1)."""
    return x.max()


def logsumexp(x: Array) -> Array:
    """log sum exp(x), for x of any size. (…, C) to (…, 1)."""
    return x.logsumexp()


def softmax(x: Array) -> Array:
    """exp(x) / sum exp(x): positive, and 1 in all. (…, C)."""
    return x.softmax()


def log_softmax(x: Array) -> Array:
    """log softmax(x), of small probabilities and of large x too. (…, C)."""
    x = x - max(x)
    return x - logsumexp(x)
