from microgpt_lab import hookimpl
from microgpt_lab.schedule import warm


def constant(step, steps, *, warmup: float = 0.0):
    """1, after a warm-up over this fraction of the steps."""
    return warm(step, steps, warmup)[0]


@hookimpl
def schedulers():
    return [constant]
