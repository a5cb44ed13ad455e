"""About how long a run takes, and would have taken with `backend=auto`: to orders of magnitude."""

from microgpt_lab import UserError, part

DOCUMENTS = 200  # enough to measure tokens per step
WORTH = 5  # seconds that a run must take for it to matter
# By backend: seconds to start (compiling, evaluations, samples), seconds a step, operations a second.
SPEED = {
    "python": (1.0, 0.0, 15e6),
    "numpy": (1.0, 500e-6, 5e9),
    "jax": (3.0, 100e-6, 8e9),
    "c": (1.5, 20e-6, 8e9),
}


def seconds_on(name, run, trainer):
    """Return about how many seconds the run takes on a backend; 0 if that is unknown."""
    if name not in SPEED or not trainer.steps or not run.flops_per_token:
        return 0
    start, each, rate = SPEED[name]
    tokens = tokens_per_step(trainer)
    return start + (trainer.steps - trainer.step) * (each + tokens * run.flops_per_token / rate)


def tokens_per_step(trainer):
    """The mean number of tokens in some of the first batches."""
    some = min(trainer.steps, max(1, DOCUMENTS // (trainer.batch_size * trainer.accumulate)))
    return sum(trainer.inputs(step)[0].tokens for step in range(some)) / max(1, some)


def faster_line(run, trainer, seconds):
    """Return what to say of a python run that took long, or None."""
    if run.config["backend"]["name"] != "python" or seconds < WORTH or not trainer.steps:
        return None
    try:
        name = type(part("backend", "auto")).__name__.lower()
    except UserError:  # $CC is wrong
        return None
    needed = seconds_on(name, run, trainer)
    return f"backend=auto is {name} here: about {needed:,.0f} s instead of {seconds:,.0f}"
