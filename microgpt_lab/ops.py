"""Mathematics of tensors, written once for every backend: the functions that parts compute with.

`microgpt_lab.core.ops` defines them.
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
