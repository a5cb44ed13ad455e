from microgpt_lab import hookimpl


def none(x, at):
    """No MLP: returns 0, so that only attention changes the residual stream. x: (…, T, C)."""
    return x * 0.0


none.without_gradient = ("layer*.norm2.*",)  # the norm before it


@hookimpl
def mlps():
    return [none]
