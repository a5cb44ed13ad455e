from microgpt_lab import at_least, hookimpl


def xavier(shape, gpt, rng, *, gain: float = 1.0, zero: bool = False):
    """Gaussian weights of standard deviation gain √(2 / (in + out)) (Glorot & Bengio, 2010).

    gain: factor of the standard deviation.
    zero: start the projections into the residual stream at 0.
    """
    at_least(0, gain=gain)
    std = gain * (2 / (shape.in_ + shape.out)) ** 0.5
    std = 0.0 if zero and shape.role == "residual" else std
    return [[rng.gauss(0, std) for _ in range(shape.in_)] for _ in range(shape.out)]


@hookimpl
def inits():
    return [xavier]
