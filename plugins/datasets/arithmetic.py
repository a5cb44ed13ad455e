from typing import Literal

from microgpt_lab import between, hookimpl


def arithmetic(*, operation: Literal["+", "-", "*"] = "+", digits: int = 2, modulus: int = 0):
    """All sums, differences or products of two numbers of up to `digits` digits, such as 17+25=42.

    With a `modulus`, both numbers are below it, and the result is taken modulo it (Power et al., 2022,
    use 97). Each ordered pair occurs once: the data set contains both 17+25 and 25+17.

    operation: +, - or *.
    digits: maximum number of digits of each number.
    modulus: use numbers below it, and take results modulo it (0: no modulus).
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
