"""Tensor functions that parts compute with. Each works on every backend.

They are defined in `microgpt_lab.core.ops` and `microgpt_lab.core.derived`.
"""

from microgpt_lab.core.derived import (
    convolve,
    cross_entropy,
    log_softmax,
    maximum,
    mean,
    repeat_heads,
    visible,
)
from microgpt_lab.core.ops import (
    abs,
    erf,
    exp,
    log,
    logsumexp,
    max,
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
    "convolve",
    "cross_entropy",
    "erf",
    "exp",
    "log",
    "log_softmax",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "relu",
    "repeat_heads",
    "sigmoid",
    "softmax",
    "softplus",
    "sqrt",
    "sum",
    "tanh",
    "visible",
    "where",
]
