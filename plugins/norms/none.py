from microgpt_lab import hookimpl


def none(x):
    """x, unchanged: no norm."""
    return x


@hookimpl
def norms():
    return [none]
