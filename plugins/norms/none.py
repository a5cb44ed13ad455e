from microgpt_lab import hookimpl


def none(x):
    """x: no norm at all."""
    return x


@hookimpl
def norms():
    return [none]
