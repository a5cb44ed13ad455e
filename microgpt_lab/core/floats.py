"""Functions of a float that follow IEEE 754: they return infinity or NaN where Python would raise."""

import math
from collections.abc import Callable


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def log(x: float) -> float:
    if x > 0:
        return math.log(x)
    return -math.inf if x == 0 else math.nan


def sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def power(x: float, n: float) -> float:
    """x**n, or NaN where Python would return a complex number."""
    if x < 0 and n % 1:
        return math.nan
    try:
        return x**n
    except ZeroDivisionError:
        return math.copysign(math.inf, x) if n % 2 == 1 else math.inf
    except OverflowError:
        return -math.inf if x < 0 and n % 2 == 1 else math.inf


def divide(x: float, y: float) -> float:
    try:
        return x / y
    except ZeroDivisionError:
        return x * math.copysign(math.inf, y)  # NaN for 0 / 0


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def softplus(x: float) -> float:
    return x if x != x else max(x, 0.0) + math.log1p(exp(-abs(x)))


def relu(x: float) -> float:
    return 0.0 if x <= 0 else x  # max(0.0, x) would turn NaN into 0


def sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0


def logsumexp(row: list[float]) -> float:
    """log Σ exp(x). The maximum is subtracted first, so that no exponential overflows."""
    largest = max(row)
    if math.isinf(largest):
        return largest
    return largest + log(sum([math.exp(x - largest) for x in row]))


def softmax(row: list[float]) -> list[float]:
    """exp(x) / Σ exp(x), computed in the same way."""
    largest = max(row)
    exps = [exp(x - largest) for x in row]
    total = sum(exps)
    return [x / total for x in exps]


# name: (f(x), its derivative given x and y = f(x))
FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float, float], float]]] = {
    "exp": (exp, lambda x, y: y),
    "log": (log, lambda x, y: divide(1.0, x)),
    "sqrt": (sqrt, lambda x, y: divide(0.5, y)),
    "tanh": (math.tanh, lambda x, y: 1.0 - y * y),
    "erf": (math.erf, lambda x, y: 2 / math.sqrt(math.pi) * exp(-x * x)),
    "sigmoid": (sigmoid, lambda x, y: y * (1.0 - y)),
    "softplus": (softplus, lambda x, y: sigmoid(x)),
    "relu": (relu, lambda x, y: 1.0 if x > 0 else 0.0),
    "abs": (abs, lambda x, y: sign(x)),
}


def each(name: str, xs: list[float]) -> list[float]:
    """Apply the function of this name to each number."""
    try:
        return list(map(getattr(math, name), xs))  # in C, if `math` has it and no number is out of range
    except (AttributeError, ValueError, OverflowError):
        return list(map(FUNCTIONS[name][0], xs))
