from microgpt_lab import at_least, hookimpl


# The formula: a factor of the learning rate, from 0 to 1. step counts from 0.
# Parameters after * are options, scheduler.power here, each with a type and a default.
def my_part(step, steps, *, power: float = 2.0):
    """(1 - step / steps)^power: polynomial decay.

    power: 1 is a straight line; larger values fall faster at first.
    """
    at_least(0, power=power)  # other values are refused in one line
    return (1 - step / steps) ** power


@hookimpl
def schedulers():
    return [my_part]
