import gc

from microgpt_lab import Backend, Tensor, hookimpl
from microgpt_lab.core.backend import Memory


class Python(Backend):
    """The reference: pure Python, with a `Value` for every number in the graph of a gradient."""

    largest = 20_000_000
    memory = Memory(number=130, weight=430, batched=False)  # each number is a Value

    def __init__(self):
        self.leaves = {}  # the weights as Values, which live as long as the run

    def tensor(self, rows):
        return Tensor([float(x) for row in rows for x in row], (len(rows), len(rows[0])))

    def value_and_grad(self, loss, weights):
        """Compute the loss and its gradient with respect to each weight.

        The cyclic garbage collector is off meanwhile. It would search the graph in vain, because a graph
        has no reference cycles and is freed as it goes out of use.
        """
        enabled = gc.isenabled()
        gc.disable()
        try:
            return self._loss(loss, weights), {name: self._grad(name) for name in weights}
        finally:
            if enabled:
                gc.enable()

    def _loss(self, loss, weights):
        for name, weight in weights.items():
            leaf = self.leaves.get(name)
            if leaf is None or leaf.shape != weight.shape:
                self.leaves[name] = weight.tracked()
                continue
            for value, x in zip(leaf.data, weight.data):
                value.data, value.grad = x, 0.0
        result = loss({name: self.leaves[name] for name in weights})
        (result if result.shape == (1, 1) else result[:1]).backward()
        return result.detach()

    def _grad(self, name):
        leaf = self.leaves[name]
        return Tensor([value.grad for value in leaf.data], leaf.shape)


@hookimpl
def backends():
    return [Python]
