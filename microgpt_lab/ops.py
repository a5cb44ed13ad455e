"""Tensor functions that parts compute with. Each works on every backend.

They are defined in `microgpt_lab.core.ops`.
"""

from microgpt_lab.core.ops import (
    abs,
    erf,
    exp,
    log,
    log_softmax,
    logsumexp,
    max,
    maximum,
    mean,
    relu,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    sum,
    tanh,
    where,
)

__all__ = [
    "abs",
    "erf",
    "exp",
    "log",
    "log_softmax",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "sqrt",
    "sum",
    "tanh",
    "where",
]
