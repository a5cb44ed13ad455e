"""What schedulers share."""

from microgpt_lab.errors import between


def warm(step: int, steps: int, warmup: float) -> tuple[float, float]:
    """The factor of a linear warm-up over this fraction of the steps, and the progress (0 to 1) after it."""
    between(0, 1, warmup=warmup)
    first = round(warmup * steps)
    if step < first:
        return (step + 1) / (first + 1), 0.0
    return 1.0, (step - first) / max(1, steps - first)
