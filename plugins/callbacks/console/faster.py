"""About how long a run of the python backend would have taken with `backend=auto`."""

from microgpt_lab import UserError, part

WORTH = 5  # seconds that a run must have taken for it to matter
# By backend: seconds to start (compiling, evaluations, samples), seconds a step, operations a second.
SPEED = {"c": (1.5, 20e-6, 5e9), "numpy": (1.0, 400e-6, 5e9)}


def seconds_with_auto(run, trainer):
    """Return the name of the backend that `backend=auto` takes here, and about how many seconds it needs."""
    name = type(part("backend", "auto")).__name__.lower()
    start, each, rate = SPEED[name]
    steps, some = trainer.steps, min(trainer.steps, 100)
    tokens = sum(trainer.inputs(step)[0].tokens for step in range(some)) / some
    return name, start + steps * (each + tokens * run.flops_per_token / rate)


def faster_line(run, trainer, seconds):
    """Return what to say of a python run that took long, or None."""
    if run.config["backend"]["name"] != "python" or seconds < WORTH or not trainer.steps:
        return None
    try:
        name, needed = seconds_with_auto(run, trainer)
    except UserError:  # $CC is wrong
        return None
    return f"backend=auto is {name} here: about {needed:,.0f} s instead of {seconds:,.0f}"
