from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sigmoid


# The formula, of a tensor x, element by element. It may use all of microgpt_lab.ops:
# exp, tanh, abs, maximum, …, and where(x > 0, a, b), which takes the place of an if.
# Parameters after * are options, activation.beta here, each with a type and a default.
def my_part(x, *, beta: float = 1.0):
    """x sigmoid(beta x) (Ramachandran et al., 2017).

    beta: steepness; 0 is x / 2, large values are nearly relu.
    """
    at_least(0, beta=beta)  # other values are refused in one line
    return x * sigmoid(x * beta)


@hookimpl
def activations():
    return [my_part]
