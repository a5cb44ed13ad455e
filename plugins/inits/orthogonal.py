from math import hypot

from microgpt_lab import at_least, hookimpl


def orthogonal(shape, gpt, rng, *, gain: float = 1.0, zero: bool = False):
    """Orthogonal rows, or columns if those are fewer, of length `gain` (Saxe et al., 2013).

    gain: length of the rows or columns.
    zero: start the projections into the residual stream at 0.
    """
    at_least(0, gain=gain)
    gain = 0.0 if zero and shape.role == "residual" else gain
    few, many = sorted((shape.out, shape.in_))
    rows = []
    while len(rows) < few:  # Gram-Schmidt, twice because of rounding
        row = [rng.gauss(0, 1) for _ in range(many)]
        for other in rows * 2:
            along = sum(x * y for x, y in zip(row, other, strict=True))
            row = [x - along * y for x, y in zip(row, other, strict=True)]
        length = hypot(*row)
        rows.append([x / length for x in row])
    rows = [[x * gain for x in row] for row in rows]
    return rows if shape.out == few else [list(column) for column in zip(*rows, strict=True)]


@hookimpl
def inits():
    return [orthogonal]
