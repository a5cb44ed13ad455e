from typing import Literal

from microgpt_lab import Backend, hookimpl


class NumPy(Backend):
    """Whole arrays on NumPy, with derivatives of our own; a step is recorded once and played again.

    Matrix products take one thread: with more, OpenBLAS rounds otherwise, and up to width 64 nothing is won.
    """

    fused = 20

    def __init__(self, *, dtype: Literal["float64", "float32"] = "float64"):
        import threadpoolctl

        from ._numpy_array import Array

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
        from ._numpy_scan import Scan

        return Scan(f, self.dtype)


@hookimpl
def backends():
    return [NumPy]
