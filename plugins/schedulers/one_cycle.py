import math

from microgpt_lab import between, hookimpl


def one_cycle(step, steps, *, peak: float = 0.3, start: float = 0.04, final: float = 0.0001):
    """From `start` up to 1 and down to `final`, on half cosines (Smith, 2018).

    The top comes at `peak`, a fraction of the steps.

    peak: fraction of the steps after which it is 1.
    start: factor at the first step.
    final: factor at the last step.
    """
    between(0, 1, peak=peak, start=start, final=final)
    progress = step / steps
    if progress < peak:
        return start + (1 - start) * (1 - math.cos(math.pi * progress / peak)) / 2
    return final + (1 - final) * (1 + math.cos(math.pi * (progress - peak) / (1 - peak))) / 2


@hookimpl
def schedulers():
    return [one_cycle]
