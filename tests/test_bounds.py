"""Bounds of options: the last value that is accepted on each side, and the first that is refused."""

import pytest

from microgpt_lab import UserError, part

# (taken, refused) at each end of an option; None is not tried, since it would take long.
FRACTION = ((0.0, -1e-6), (1.0, 1 + 1e-6))
SHARE = ((1e-6, 0.0), (1.0, 1 + 1e-6))  # a fraction, but not 0
BOUNDS = {
    "scheduler=cosine": {"final": FRACTION},
    "scheduler=exponential": {"final": SHARE},
    "scheduler=inverse_sqrt": {"warmup": FRACTION},
    "scheduler=linear": {"final": FRACTION},
    "scheduler=one_cycle": {"peak": FRACTION, "start": FRACTION, "final": FRACTION},
    "scheduler=step": {"every": SHARE, "gamma": SHARE},
    # Its warm-up of 0.05 and the decay are parts of one run.
    "scheduler=wsd": {"decay": ((0.0, -1e-6), (0.95, 0.950001)), "final": FRACTION},
    "dataset=arithmetic": {"digits": ((1, 0), (None, 4)), "modulus": ((0, -1), (None, 1001))},
    "dataset=python_stdlib": {"max_length": ((1, 0),)},
    "dataset=reverse": {
        "documents": ((1, 0), (None, 1_000_001)),
        "length": ((1, 0), (100, 101)),
        "letters": (("q", ""), ("qx", "qxq"), ("qx", "q=x")),
    },
}
CASES = [
    (name, option, *values)
    for name, options in BOUNDS.items()
    for option, ends in options.items()
    for values in ends
]


def use(name, **options):
    kind, _, name = name.partition("=")
    return part(kind, name, **options)(*((1, 10) if kind == "scheduler" else ()))


@pytest.mark.parametrize(("name", "option", "taken", "refused"), CASES)
def test_an_option_accepts_its_bound_and_refuses_the_next_value(name, option, taken, refused):
    if taken is not None:
        use(name, **{option: taken})
    with pytest.raises((ValueError, UserError), match=option):
        use(name, **{option: refused})


def test_the_block_size_of_a_text_is_at_least_1(tmp_path):
    (tmp_path / "text").write_text("ab")
    with pytest.raises((ValueError, UserError), match="block_size"):
        use("dataset=text", path=str(tmp_path / "text"), unit="lines", block_size=0)


def test_warmup_and_decay_may_take_all_steps():
    """To nine digits: sums of such fractions are seldom 1 to the last bit."""
    use("scheduler=wsd", warmup=0.1, decay=0.9 + 4e-10)
    with pytest.raises((ValueError, UserError), match=r"^warmup \+ decay"):
        use("scheduler=wsd", warmup=0.1, decay=0.9 + 6e-10)
