"""Bounds of options: the last accepted value and the first refused value on each side."""

import pytest

from microgpt_lab import UserError, part

# (accepted, refused) at each bound of an option. None is not tried because it would take long.
FRACTION = ((0.0, -1e-6), (1.0, 1 + 1e-6))
NONZERO_FRACTION = ((1e-6, 0.0), (1.0, 1 + 1e-6))
BOUNDS = {
    "scheduler=cosine": {"final": FRACTION},
    "scheduler=exponential": {"final": NONZERO_FRACTION},
    "scheduler=inverse_sqrt": {"warmup": FRACTION},
    "scheduler=linear": {"final": FRACTION},
    "scheduler=one_cycle": {"peak": FRACTION, "start": FRACTION, "final": FRACTION},
    "scheduler=step": {"every": NONZERO_FRACTION, "gamma": NONZERO_FRACTION},
    # Warmup (0.05 by default) and decay together take at most the whole run.
    "scheduler=wsd": {"decay": ((0.0, -1e-6), (0.95, 0.950001)), "final": FRACTION},
    "dataset=arithmetic": {"digits": ((1, 0), (None, 4)), "modulus": ((0, -1), (None, 1001))},
    "dataset=python_stdlib": {"max_length": ((None, 0),)},
    "dataset=reverse": {
        "documents": ((1, 0), (None, 1_000_001)),
        "length": ((1, 0), (100, 101)),
        "letters": (("q", ""), ("qx", "qxq"), ("qx", "q=x")),
    },
    "sampler=multinomial": {
        "temperature": ((0.0, -1e-6),),
        "top_k": ((0, -1),),
        "top_p": NONZERO_FRACTION,
        "min_p": FRACTION,
    },
    "tokenizer=bpe": {"vocab_size": ((1, 0), (1_000_000, 1_000_001))},
}
CASES = [
    (name, option, *values)
    for name, options in BOUNDS.items()
    for option, bounds in options.items()
    for values in bounds
]


def build(name, **options):
    """Build a part; call a scheduler or data set once, because some bounds are checked only then."""
    kind, _, name = name.partition("=")
    built = part(kind, name, **options)
    return built(*{"scheduler": (1, 10), "dataset": ()}[kind]) if kind in ("scheduler", "dataset") else built


@pytest.mark.parametrize(("name", "option", "accepted", "refused"), CASES)
def test_an_option_accepts_its_bound_and_refuses_the_next_value(name, option, accepted, refused):
    if accepted is not None:
        build(name, **{option: accepted})
    with pytest.raises((ValueError, UserError), match=option):
        build(name, **{option: refused})


def test_warmup_and_decay_may_take_all_steps():
    """The check allows for rounding, because sums of such fractions are seldom exactly 1."""
    build("scheduler=wsd", warmup=0.1, decay=0.9 + 4e-10)
    with pytest.raises((ValueError, UserError), match=r"^warmup \+ decay"):
        build("scheduler=wsd", warmup=0.1, decay=0.9 + 6e-10)
