"""The array protocol: on JAX in compiled functions, on NumPy outside of them. See docs/backends.md."""

from __future__ import annotations

import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from microgpt_lab.core.places import Places
from microgpt_lab.core.reprs import preview
from microgpt_lab.tensors.arrays import Comparison, WholeArray, causal_mask, constants, erf, raw, sigmoid


def softmax(x):
    exps = np.exp(x - x.max(-1, keepdims=True))
    return exps / exps.sum(-1, keepdims=True)


def scipy_function(name, **options):
    """Return a function that imports SciPy when called, because SciPy loads slowly and is rarely needed."""

    def function(x):
        import scipy.special

        return getattr(scipy.special, name)(x, **options)

    return function


ON_HOST = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "erf": erf,
    "sigmoid": sigmoid,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "relu": lambda x: np.maximum(x, 0.0),
    "abs": np.abs,
    "softmax": softmax,
    "logsumexp": scipy_function("logsumexp", axis=-1, keepdims=True),
}
ON_DEVICE = {
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "tanh": jnp.tanh,
    "erf": jax.scipy.special.erf,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "relu": jax.nn.relu,
    "abs": jnp.abs,
    "softmax": jax.nn.softmax,
    "logsumexp": lambda x: jax.nn.logsumexp(x, -1, keepdims=True),
}


def elementwise(f):
    def method(self, other):
        return Array(f(self.data, raw(other)))

    return method


def array_repr(self):
    """Show the shape and first numbers, or only the shape while a function is traced."""
    data, name = self.data, type(self).__name__
    if isinstance(data, (np.ndarray, jax.Array)) and not isinstance(data, Tracer):
        return preview(name, data.shape, np.asarray(data).flat)
    return f"{name}(shape={getattr(data, 'shape', None)}, compiled)"


@jax.tree_util.register_pytree_node_class
class Array(WholeArray):
    """Numbers of shape (…, T, C). JAX computes the gradients."""

    __slots__ = ()

    def __init__(self, data):
        self.data = data

    __repr__ = array_repr

    def tree_flatten(self):
        return (self.data,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)

    @property
    def xp(self):
        """`numpy` or `jax.numpy`, whichever `data` belongs to."""
        return np if isinstance(self.data, np.ndarray) else jnp

    __add__ = __radd__ = elementwise(operator.add)
    __sub__ = elementwise(operator.sub)
    __mul__ = __rmul__ = elementwise(operator.mul)
    __truediv__ = elementwise(operator.truediv)
    __rtruediv__ = elementwise(lambda x, y: y / x)
    __rpow__ = elementwise(lambda x, y: y**x)

    def __gt__(self, other):
        return Condition(self.data > raw(other))

    def __lt__(self, other):
        return Condition(self.data < raw(other))

    def __pow__(self, n):
        if n == -0.5:  # as in norms; faster than XLA's power
            return Array(1 / self.xp.sqrt(self.data))
        return Array(self.data ** (int(n) if n == int(n) else n))

    def __matmul__(self, other):
        """(…, T, C) @ (C, D), or @ (…, C, D) with the same leading axes."""
        a, b = self.data, other.data
        if a.shape[-1] != b.shape[-2] or b.shape[:-2] not in ((), a.shape[:-2]):
            raise ValueError(f"cannot multiply {a.shape} by {b.shape}")
        return Array(a @ b)

    def table(self, rows):
        """Return a table as a matrix of constants."""
        return Array(self.xp.asarray(constants(rows, self.data.dtype)))

    @property
    def T(self):
        return Array(self.data.swapaxes(-1, -2))

    def __getitem__(self, columns):
        """Slice the last axis."""
        return Array(self.data[..., columns])

    def concat(self, *others):
        """Concatenate along the last axis."""
        return Array(self.xp.concatenate([self.data, *(other.data for other in others)], -1))

    def reshape(self, height, width):
        return Array(self.data.reshape(height, width))

    def split_heads(self, heads):
        """(…, T, C) to (…, heads, T, C / heads)."""
        *lead, height, width = self.shape
        return Array(self.data.reshape(*lead, height, heads, width // heads).swapaxes(-2, -3))

    def merge_heads(self):
        """(…, heads, T, D) to (…, T, heads * D)."""
        *lead, heads, height, size = self.shape
        return Array(self.data.swapaxes(-2, -3).reshape(*lead, height, heads * size))

    def causal(self, window=0):
        """Mask the future with -inf: of S columns, row t of T keeps the first S - T + t + 1.

        With a `window`, it keeps only the last `window` of these.
        """
        return Array(self.xp.where(causal_mask(*self.shape[-2:], window), self.data, -math.inf))

    def take(self, ids):
        """Select rows by index or at places: (T, C), or (B, T, C) for ids (B, T)."""
        if isinstance(ids, Places):
            return Array(self.data[ids.start : ids.stop])
        return Array(self.data[self.xp.asarray(ids)])

    def by_distance(self, places):
        """(N, heads) to (heads, T, S): row t - s where a token at t looks back at one at s, else 0."""
        size = self.shape[0]
        apart = np.arange(places.start, places.stop)[:, None] - np.arange(places.stop)
        rows = self.xp.moveaxis(self.data[apart.clip(0, size - 1)], -1, 0)
        return Array(self.xp.where((apart >= 0) & (apart < size), rows, 0.0))

    def pick(self, ids):
        """Select the number ids[…, t] of each row: (…, T, 1)."""
        one_hot = self.xp.asarray(ids)[..., None] == np.arange(self.shape[-1])
        return Array(self.xp.where(one_hot, self.data, 0.0).sum(-1, keepdims=True))

    def sum(self):
        return Array(self.data.sum(-1, keepdims=True))

    def max(self):
        return self.pick(self.data.argmax(-1))  # the gradient goes to the first of equals

    def total(self):
        """The sum of all numbers, (1, 1)."""
        return Array(self.data.sum().reshape(1, 1))

    def norm(self):
        """The square root of the sum of squares, (1, 1), without gradient."""
        x = self.data if self.xp is np else jax.lax.stop_gradient(self.data)
        return Array(self.xp.sqrt((x * x).sum()).reshape(1, 1))

    def apply(self, name):
        """Apply a function by its name in ON_HOST."""
        return Array((ON_HOST if self.xp is np else ON_DEVICE)[name](self.data))

    def logsumexp(self):
        return self.apply("logsumexp")

    def softmax(self):
        return self.apply("softmax")


class Condition(Comparison):
    """The result of a comparison, for `where`."""

    __slots__ = ("data",)

    def __init__(self, data):
        self.data = data

    __repr__ = array_repr

    def where(self, a, b):
        """Select `a` where the comparison holds, and `b` elsewhere."""
        a, b = raw(a), raw(b)
        on_host = all(isinstance(x, (np.ndarray, float, int)) for x in (self.data, a, b))
        return Array((np if on_host else jnp).where(self.data, a, b))
