import operator
import os
from typing import Literal

import numpy

from microgpt_lab import Backend, hookimpl
from microgpt_lab.core.backend import Memory
from microgpt_lab.tensors import compiled


class Jax(Backend):
    """JAX: steps compiled by XLA, many of them per call, with batches sharded across devices.

    Outside of compiled functions (such as in sampling), tensors compute with NumPy on the host, because a
    single token is too little work for a device.

    precision: type of all numbers; in float64, losses follow those of the python backend to 1e-9.
    """

    fused, forks = 64, False
    memory = Memory(weight=120, fixed=150_000_000)  # of which the compiler takes most

    def __init__(self, *, precision: Literal["float64", "float32"] = "float64"):
        # XLA's number of threads, on which its rounding depends: the same on every machine.
        os.environ.setdefault("NPROC", "2")
        import jax

        from .array import Array

        self.precision, self.jax, self.array = precision, jax, Array

    def tensor(self, rows):
        return self.array(numpy.array(rows, self.precision))

    def value_and_grad(self, loss, weights):
        def first(weights):
            row = loss(weights)
            return row.data[0, 0], row

        with self.jax.enable_x64(self.precision == "float64"):
            (_, row), grads = self.jax.value_and_grad(first, has_aux=True)(weights)
            return self.jax.tree.map(self.to_host, (row, grads))

    def accumulate(self, loss, weights, blocks):
        """Loop over the parts of a batch, (parts, B, T) in a single block, as `Scan` stacks them."""
        (block, *others), tree = blocks, self.jax.tree
        if others or getattr(block.ids, "ndim", 0) < 3:
            return super().accumulate(loss, weights, blocks)

        def of_part(part):
            return self.value_and_grad(lambda w: loss(w, part), weights)

        shapes = self.jax.eval_shape(of_part, tree.map(lambda x: x[0], block))
        zeros = tree.map(lambda x: self.jax.numpy.zeros(x.shape, x.dtype), shapes)
        add = lambda total, part: (tree.map(operator.add, total, of_part(part)), None)  # noqa: E731
        return self.jax.lax.scan(add, zeros, block)[0]

    def to_host(self, values):
        """Copy to the host, unless a function is being compiled."""
        return values if isinstance(values, self.jax.core.Tracer) else numpy.asarray(values)

    def device_memory(self):
        of_devices = [device.memory_stats() for device in self.jax.devices()]  # None for a CPU
        return sum(each["bytes_limit"] for each in of_devices if each)

    def scan(self, f):
        from .scan import Scan

        return Scan(f, self.precision, self.fused)

    prepare = compiled.prepare


@hookimpl
def backends():
    return [Jax]
