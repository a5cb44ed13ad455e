"""MLPs that break an invariant."""

import random

from microgpt_lab import Linear, Shape
from microgpt_lab.core.model import MLP
from microgpt_lab.ops import log, max, mean, sum


class Unlisted(MLP):
    """Adds a loss under a name that it does not list."""

    aux_losses = ("balance",)

    def __call__(self, x, at, fc1, fc2):
        at.add_loss("balence", mean(x * x))
        return super().__call__(x, at, fc1, fc2)


class Foresees(MLP):
    """Adds the largest of all tokens to each token's loss."""

    aux_losses = ("size",)

    def __call__(self, x, at, fc1, fc2):
        at.add_loss("size", max(x[:1].T) + x[:1] * 0.0)
        return super().__call__(x, at, fc1, fc2)


class Counts(MLP):
    """Multiplies by the number of tokens."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * float(len(at.ids))


class NeverAddsLoss(MLP):
    """Lists a loss that it does not add."""

    aux_losses = ("balance",)


class DrawsNoise(MLP):
    """Draws noise from a generator of its own."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * random.random()


class Explodes(MLP):
    """Takes the logarithm of negative numbers."""

    def __call__(self, x, at, fc1, fc2):
        return fc2(log(fc1(x)))


class ReadsNumbers(MLP):
    """Is 0 if the first number is negative."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * float(x.tolist()[0][0] > 0)


class ReadsRows(MLP):
    """Uses what the tensors of one backend have."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * (1.0 if x.rows else 0.0)


class KnowsItsBackend(MLP):
    """Computes something else on numpy."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * (0.5 if type(x).__name__ == "Array" else 1.0)


class Fc:
    """A linear layer."""

    def weights(self, gpt):
        return {"fc": Linear(gpt.embed, gpt.embed, "residual")}

    def __call__(self, x, at, fc):
        return fc(x)


class LateLayers(Fc):
    """Adds up all tokens from the third layer on."""

    def __call__(self, x, at, fc):
        return fc(x) + sum(x.T).T if at.layer >= 2 else fc(x)


class Faint(Fc):
    """Has a weight with almost no effect."""

    def weights(self, gpt):
        return super().weights(gpt) | {"faint": [[0.0] * gpt.embed]}

    def __call__(self, x, at, fc, faint):
        return fc(x) + faint * 1e-9


class OneRow(Fc):
    """Uses the first row of a matrix alone."""

    def weights(self, gpt):
        return super().weights(gpt) | {"matrix": Shape(gpt.embed, gpt.embed)}

    def __call__(self, x, at, fc, matrix):
        return fc(x) + (x @ matrix.T)[:1]


class Catches(Fc):
    """Catches the error of a length that it must not read."""

    def __call__(self, x, at, fc):
        try:
            length = len(at.ids)
        except Exception:
            length = 1
        return fc(x) * (1.0 if length <= 7 else 2.0)


class ReadsInEvaluation(Fc):
    """Reads the number of tokens where there are no auxiliary losses."""

    def __call__(self, x, at, fc):
        return fc(x) * (1.0 if at.collects_losses or x.shape[-2] <= 7 else 2.0)


class Exponent(Fc):
    """Has the number of tokens as exponent."""

    def __call__(self, x, at, fc):
        return fc(x) * (x * 0.0 + 1.0) ** at.places.stop


class Window(Fc):
    """Has the number of tokens as a window."""

    def __call__(self, x, at, fc):
        return fc(x) + sum((x @ x.T).causal(at.places.stop).softmax()) * 0.0


class UnknownRole(Fc):
    """Has a role that does not exist."""

    def weights(self, gpt):
        return {"fc": Linear(gpt.embed, gpt.embed, "output")}


class FlatList(Fc):
    """Declares a gain as a list of numbers, not of rows."""

    def weights(self, gpt):
        return super().weights(gpt) | {"gain": [1.0] * gpt.embed}

    def __call__(self, x, at, fc, gain):
        return fc(x * gain)


class WithoutAt(Fc):
    """Takes no `at`."""

    def __call__(self, x, fc):
        return fc(x)


def needs_w(x, at, w):
    """A function with a weight."""
    return x @ w.T


class NeedsSixteen(Fc):
    """Refuses the small model."""

    def weights(self, gpt):
        if gpt.embed % 16:
            raise ValueError(f"embed={gpt.embed} must be divisible by 16")
        return super().weights(gpt)


class Normalized:
    """Divides a weight by its norm, through which no gradient flows."""

    def weights(self, gpt):
        return {"fc": Shape(gpt.embed, gpt.embed)}

    def __call__(self, x, at, fc):
        return x @ (fc / fc.norm()).T
