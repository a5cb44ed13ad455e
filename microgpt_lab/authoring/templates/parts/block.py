from microgpt_lab import above, hookimpl


class MyPart:
    """x + a attention(norm(x)), then x + b mlp(norm(x)) (Touvron et al., 2021).

    a and b are learned, of shape (1, C). x: (…, T, C).

    start: initial value of a and b.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, block.start here, each with a type and a default.
    def __init__(self, *, start: float = 0.1):
        above(0, start=start)  # other values are refused in one line
        self.start = start

    # What it learns: rows of numbers to start with. A block that learns nothing may be
    # a function of x, attention, mlp and norms.
    def weights(self, gpt):
        return {name: [[self.start] * gpt.embed] for name in ("a", "b")}

    # The formula, which calls attention and mlp once each. Arguments whose names begin
    # with norm are norms, each with its own weights.
    def __call__(self, x, attention, mlp, norm1, norm2, a, b):
        x = x + attention(norm1(x)) * a
        return x + mlp(norm2(x)) * b


@hookimpl
def blocks():
    return [MyPart]
