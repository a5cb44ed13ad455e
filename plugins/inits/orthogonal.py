from microgpt_lab import at_least, hookimpl


def orthogonal(shape, gpt, rng, *, gain: float = 1.0, zero: bool = False):
    """Orthogonal rows, or columns if those are fewer, of length `gain` (Saxe et al., 2013).

    gain: length of the rows or columns.
    zero: start the projections into the residual stream at 0.
    """
    import numpy as np  # slow to import

    at_least(0, gain=gain)
    gain = 0.0 if zero and shape.role == "residual" else gain
    few, many = sorted((shape.out, shape.in_))
    drawn = [[rng.gauss(0, 1) for _ in range(many)] for _ in range(few)]
    x = np.array(drawn).T.copy()  # (many, few)
    for i in range(few):  # Gram-Schmidt, column by column
        column = x[:, i : i + 1]
        column /= np.sqrt(total(column * column))
        x[:, i + 1 :] -= column * total(column * x[:, i + 1 :])
    return ((x if shape.in_ == few else x.T) * gain).tolist()


def total(x):
    """Sum over rows, in an order that is the same on every machine, unlike that of a library. x: (n, C)."""
    while len(x) > 1:
        half = len(x) // 2
        rest = x[2 * half :]  # the last row, if their number is odd
        x = x[:half] + x[half : 2 * half]
        x[: len(rest)] += rest
    return x[0]


@hookimpl
def inits():
    return [orthogonal]
