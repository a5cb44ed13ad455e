from microgpt_lab import between, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def wsd(step, steps, *, warmup: float = 0.05, decay: float = 0.2, final: float = 0.0):
    """Warm-up, stable, decay (Hu et al., 2024).

    1 after the warm-up, then straight to `final` over the last `decay` (a fraction) of the steps.

    warmup: fraction of the steps over which it rises from 0 to 1.
    decay: fraction of the steps, the last ones, over which it falls.
    final: factor at the last step.
    """
    factor = linear_warmup(step, steps, warmup)[0]
    between(0, 1, decay=decay, final=final)
    between(0, 1, **{"warmup + decay": round(warmup + decay, 9)})
    left = 1 - step / steps
    return factor * (1.0 if left > decay else final + (1 - final) * left / decay)


@hookimpl
def schedulers():
    return [wsd]
