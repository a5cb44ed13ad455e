import time
from typing import Literal

from microgpt_lab import Backend, hookimpl


class NumPy(Backend):
    """Whole arrays on NumPy, with the lab's own derivatives; a step is recorded once and replayed.

    A matrix product uses one thread, because OpenBLAS rounds differently with more threads. Two threads
    share the documents of a large batch instead, in the same way on every machine.

    precision: type of all numbers; in float64, losses follow those of the python backend to 1e-9.
    """

    fused = 20

    def __init__(self, *, precision: Literal["float64", "float32"] = "float64"):
        import threadpoolctl

        from .array import Array

        threadpoolctl.threadpool_limits(1, user_api="blas")
        self.precision, self.array = precision, Array

    def tensor(self, rows):
        import numpy

        return self.array(numpy.array(rows, self.precision))

    def value_and_grad(self, loss, weights):
        leaves = {name: self.array(w.data, tracked=True) for name, w in weights.items()}
        y = loss(leaves)
        grads = (y if y.shape == (1, 1) else y[:1]).backward()
        gradients = {name: grads.get(id(leaf)) for name, leaf in leaves.items()}
        return self.array(y.data), {
            n: weights[n] * 0.0 if g is None else self.array(g) for n, g in gradients.items()
        }

    def scan(self, f):
        from .scan import Scan

        return Scan(f, self.precision)

    def prepare(self, trainer):
        """Record the tapes of an evaluation and of the first steps, for half a second."""
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
