"""The numbers of a matrix product, each a single Value."""

from __future__ import annotations

from microgpt_lab.core.autograd import Value


class Dot(Value):
    """The dot product of two rows, which it shares with other products. Its parents are all their numbers."""

    __slots__ = ("left", "right")

    parents = property(lambda self: (*self.left, *self.right))
    local_grads = property(lambda self: [x.data for x in (*self.right, *self.left)])

    def propagate(self) -> None:
        grad = self.grad
        if grad:
            for x, y in zip(self.left, self.right):
                x.grad += y.data * grad
                y.grad += x.data * grad
