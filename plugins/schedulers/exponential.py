from microgpt_lab import hookimpl
from microgpt_lab.schedule import warm


def exponential(step, steps, *, warmup: float = 0.0, final: float = 0.01):
    """From 1 to `final` by the same factor every step, after a warm-up."""
    factor, progress = warm(step, steps, warmup)
    return factor * final**progress


@hookimpl
def schedulers():
    return [exponential]
