from microgpt_lab import hookimpl


def none(x, at):
    """0, which leaves a transformer of attention alone. x: (…, T, C)."""
    return x * 0.0


none.without_gradient = ("layer*.norm2.*",)  # the norm before it


@hookimpl
def mlps():
    return [none]
