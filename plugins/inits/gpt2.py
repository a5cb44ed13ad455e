from microgpt_lab import at_least, hookimpl


def gpt2(shape, gpt, rng, *, std: float = 0.02, zero: bool = False):
    """Gaussian, with projections into the residual stream divided by √(2 layers) (Radford et al., 2019).

    The division is so that the variance of the residual stream does not grow with the number of layers.

    std: standard deviation of the others.
    zero: start the projections into the residual stream at 0.
    """
    at_least(0, std=std)
    if shape.role == "residual":
        std = 0.0 if zero else std / (2 * gpt.layers) ** 0.5
    return [[rng.gauss(0, std) for _ in range(shape.in_)] for _ in range(shape.out)]


@hookimpl
def inits():
    return [gpt2]
