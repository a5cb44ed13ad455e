from typing import Any, Literal

from microgpt_lab import Backend, hookimpl
from microgpt_lab.core.backend import Memory
from microgpt_lab.tensors import compiled


class C(Backend):
    """C, written from the model's own text: steps compiled once for all lengths, many of them per call.

    The bits do not depend on the number of threads (OMP_NUM_THREADS, or else the number of cores). What is
    not compiled, such as sampling, is computed with NumPy.

    precision: type of all numbers; in float64, losses follow those of the python backend to 1e-9.
    """

    fused = 64
    memory = Memory(weight=165, fixed=20_000_000)

    def __init__(self, *, precision: Literal["float64", "float32"] = "float64"):
        from ..numpy.array import Array

        self.precision, self.array = precision, Array

    @staticmethod
    def available():
        """Return whether this machine has a C compiler."""
        from .build import compiler

        return compiler() is not None

    def tensor(self, rows):
        import numpy

        return self.array(numpy.array(rows, self.precision))

    def value_and_grad(self, loss, weights):
        leaves = {name: self.leaf(name, w) for name, w in weights.items()}
        y: Any = loss(leaves)
        grads = (y if y.shape == (1, 1) else y[:1]).backward()
        found = {name: grads.get(id(x)) if grads else x.grad for name, x in leaves.items()}
        zero = {name: w * 0.0 for name, w in weights.items() if found[name] is None}
        if grads is None:  # arrays have their own gradients
            return self.array(y.data), {n: self.array(g) for n, g in found.items() if g is not None} | zero
        for name, g in found.items():
            if g is not None:
                g.node.graph.look(f"d.{name}", g)
        return y.detached(), found | zero

    def leaf(self, name, w):
        """Return a weight, an array or in a graph, as a leaf: what gradients are computed for."""
        if isinstance(w, self.array):
            return self.array(w.data, tracked=True)
        w.node.graph.weights[w.node.serial, w.offset] = name, w.shape
        return w.detached(tracked=True)

    def scan(self, f):
        from .scan import Scan

        return Scan(f, self.precision)

    def source(self, trainer):
        """Return two programs for `export`: a step of this trainer, and the logits of a batch."""
        from .trace import trace

        def loss(carry, blocks):
            weights = trainer.packing.unpack(carry[0])
            return carry, (trainer.loss({name: self.leaf(name, w) for name, w in weights.items()}, blocks),)

        batch, *numbers = trainer.inputs(0)
        batch.block_size = trainer.model.block_size  # samples may be longer than all documents
        step = trace(trainer.update, trainer.carry, [batch, *numbers])
        return step, trace(loss, trainer.carry, [batch], ["logits"])

    def prepare(self, trainer):
        compiled.prepare(self, trainer)
        for scan in (trainer.train_scan, trainer.loss_scan):
            scan.free_memory()  # a sweep keeps the scans of 16 settings, and each job has its own memory


@hookimpl
def backends():
    return [C]
