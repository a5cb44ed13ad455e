from typing import Literal

from microgpt_lab import between, hookimpl


def arithmetic(*, operation: Literal["+", "-", "*"] = "+", digits: int = 2, modulus: int = 0):
    """All sums, differences or products of two numbers of up to so many digits, such as 17+25=42.

    With a `modulus`, the numbers are those below it, and the result is taken modulo it (Power et
    al., 2022, use 97). Each is there once, but 17+25 and 25+17 both are.

    operation: +, - or *.
    digits: most digits of a number.
    modulus: take numbers below it, and results modulo it (0: do not).
    """
    between(1, 3, digits=digits)
    between(0, 1000, modulus=modulus)
    compute = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[operation]
    numbers = range(modulus or 10**digits)
    results = ((a, b, compute(a, b)) for a in numbers for b in numbers)
    return [f"{a}{operation}{b}={y % modulus if modulus else y}" for a, b, y in results]


arithmetic.answer_after = "="


@hookimpl
def datasets():
    return [arithmetic]
