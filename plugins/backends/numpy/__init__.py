import time
from typing import Literal

from microgpt_lab import Backend, hookimpl


class NumPy(Backend):
    """Whole arrays on NumPy, with derivatives of our own; a step is recorded once and played again.

    A product of matrices takes one thread: with more, OpenBLAS rounds otherwise. Two threads share
    the documents of a large batch instead, the same way on every machine.

    dtype: type of all numbers; float64 follows the python backend to 1e-9.
    """

    fused = 20

    def __init__(self, *, dtype: Literal["float64", "float32"] = "float64"):
        import threadpoolctl

        from .array import Array

        threadpoolctl.threadpool_limits(1, user_api="blas")
        self.dtype, self.array = dtype, Array

    def tensor(self, rows):
        import numpy

        return self.array(numpy.array(rows, self.dtype))

    def value_and_grad(self, loss, weights):
        leaves = {name: self.array(w.data, tracked=True) for name, w in weights.items()}
        y = loss(leaves)
        grads = y.backward()
        found = {name: grads.get(id(leaf)) for name, leaf in leaves.items()}
        return self.array(y.data), {
            n: weights[n] * 0.0 if g is None else self.array(g) for n, g in found.items()
        }

    def scan(self, f):
        from .scan import Scan

        return Scan(f, self.dtype)

    def prepare(self, trainer):
        """Record the tapes of an evaluation and of the first steps, half a second's worth."""
        end = time.monotonic() + 0.5
        if trainer.held_out:
            trainer.validate_unseen()
        while trainer.step < min(60, trainer.steps) and time.monotonic() < end:
            trainer.advance(min(self.fused, trainer.steps - trainer.step))
        for scan in (trainer.train_scan, trainer.loss_scan):
            scan.rest()


@hookimpl
def backends():
    return [NumPy]
