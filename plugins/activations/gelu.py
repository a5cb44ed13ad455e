import math
from typing import Literal

from microgpt_lab import hookimpl
from microgpt_lab.ops import erf, tanh


def gelu(x, *, approximate: Literal["none", "tanh"] = "none"):
    """x Φ(x), where Φ is the standard normal distribution function (Hendrycks & Gimpel, 2016).

    With `approximate="tanh"`: 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), as in GPT-2.

    approximate: none computes Φ exactly, tanh is the approximation of GPT-2.
    """
    if approximate == "tanh":
        return x * 0.5 * (tanh((x + x**3 * 0.044715) * math.sqrt(2 / math.pi)) + 1)
    return x * 0.5 * (erf(x / math.sqrt(2)) + 1)


@hookimpl
def activations():
    return [gelu]
