import math

from microgpt_lab import between, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def cosine(step, steps, *, warmup: float = 0.0, final: float = 0.0):
    """Decay from 1 to `final` along half a cosine, after a linear warmup (Loshchilov & Hutter, 2016).

    warmup: fraction of the steps over which the factor rises to 1.
    final: factor at the end of the training.
    """
    between(0, 1, final=final)
    factor, progress = linear_warmup(step, steps, warmup)
    return factor * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


@hookimpl
def schedulers():
    return [cosine]
