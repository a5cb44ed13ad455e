from microgpt_lab import between, hookimpl


def inverse_sqrt(step, steps, *, warmup: float = 0.1):
    """√(w / t) after a warm-up over the first w = `warmup` of the steps (Vaswani et al., 2017).

    warmup: fraction of the steps over which it rises to 1.
    """
    between(0, 1, warmup=warmup)
    first = max(1, round(warmup * steps))
    return min((step + 1) / first, (first / (step + 1)) ** 0.5)


@hookimpl
def schedulers():
    return [inverse_sqrt]
