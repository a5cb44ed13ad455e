"""Linear warmup of the learning rate, which several schedulers share."""

from microgpt_lab.errors import between


def linear_warmup(step: int, steps: int, warmup: float) -> tuple[float, float]:
    """Return the factor of a warmup over this fraction of the steps, and the progress after it (0 to 1)."""
    between(0, 1, warmup=warmup)
    warmup_steps = round(warmup * steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1), 0.0
    return 1.0, (step - warmup_steps) / max(1, steps - warmup_steps)
