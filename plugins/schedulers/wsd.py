from microgpt_lab import between, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def wsd(step, steps, *, warmup: float = 0.05, decay: float = 0.2, final: float = 0.0):
    """Warmup, stable, decay: 1 after a linear warmup, then a linear decay to `final` (Hu et al., 2024).

    warmup: fraction of the steps over which the factor rises to 1.
    decay: fraction of the steps, at the end, over which the factor falls.
    final: factor at the end of the training.
    """
    factor = linear_warmup(step, steps, warmup)[0]
    between(0, 1, decay=decay, final=final)
    between(0, 1, **{"warmup + decay": round(warmup + decay, 9)})
    remaining = 1 - step / steps
    return factor * (1.0 if remaining > decay else final + (1 - final) * remaining / decay)


@hookimpl
def schedulers():
    return [wsd]
