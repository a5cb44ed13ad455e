from microgpt_lab import at_least, hookimpl


# The numbers of a weight: shape.out rows of shape.in_, drawn from rng alone, a
# random.Random. shape.role is "embedding", "hidden", "residual" (into the residual
# stream), "head" or "scale". gpt has the sizes of the model.
# Parameters after * are options, init.gain here, each with a type and a default.
def my_part(shape, gpt, rng, *, gain: float = 1.0):
    """Uniform from -a to a, where a = gain √(3 / in) (LeCun et al., 1998).

    Projections into the residual stream are divided by √(2 layers).

    gain: factor of the standard deviation, which is 1 / √in.
    """
    at_least(0, gain=gain)  # other values are refused in one line
    a = gain * (3 / shape.in_) ** 0.5
    if shape.role == "residual":
        a /= (2 * gpt.layers) ** 0.5
    return [[rng.uniform(-a, a) for _ in range(shape.in_)] for _ in range(shape.out)]


@hookimpl
def inits():
    return [my_part]
