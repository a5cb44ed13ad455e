from typing import Literal

from microgpt_lab import hookimpl


def arithmetic(*, operation: Literal["+", "-", "*"] = "+", digits: int = 2, modulus: int = 0):
    """All sums, differences or products of two numbers of up to so many digits, such as 17+25=42.

    With a `modulus`, the result is taken modulo it (Power et al., 2022, use 97).
    """
    compute = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[operation]
    numbers = range(modulus or 10**digits)
    results = ((a, b, compute(a, b)) for a in numbers for b in numbers)
    return [f"{a}{operation}{b}={y % modulus if modulus else y}" for a, b, y in results]


arithmetic.answer_after = "="


@hookimpl
def datasets():
    return [arithmetic]
