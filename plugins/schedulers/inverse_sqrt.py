from microgpt_lab import between, hookimpl


def inverse_sqrt(step, steps, *, warmup: float = 0.1):
    """√(w / t) at step t, after a linear warmup over the first w steps (Vaswani et al., 2017).

    warmup: fraction of the steps over which the factor rises to 1.
    """
    between(0, 1, warmup=warmup)
    warmup_steps = max(1, round(warmup * steps))
    return min((step + 1) / warmup_steps, (warmup_steps / (step + 1)) ** 0.5)


@hookimpl
def schedulers():
    return [inverse_sqrt]
