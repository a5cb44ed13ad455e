"""Schedulers, compared with their formulas: factors computed by hand, and those of PyTorch's schedulers."""

import json
from math import sqrt

import pytest
from golden.make_pytorch import FIGURES, STEPS, make

from microgpt_lab import UserError, part
from microgpt_lab.core.warmup import linear_warmup
from microgpt_lab.registry.plugins import registry

PYTORCH = json.loads(FIGURES.read_text())
C30, C45 = sqrt(3) / 2, sqrt(1 / 2)  # cosines of 30 and 45 degrees
# Cosines of 1/14 to 6/14 of 180 degrees.
FALL = (
    0.9749279121818236,
    0.9009688679024191,
    0.7818314824680298,
    0.6234898018587336,
    0.4338837391175582,
    0.2225209339563144,
)


def factors(name, steps, **options):
    scheduler = part("scheduler", name, **options)
    return [scheduler(step, steps) for step in range(steps)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    PYTORCH["schedules"],
    ids=[f"{n} {o}" for n, o, _ in PYTORCH["schedules"]],
)
def test_factors_equal_pytorch(name, options, expected):
    assert factors(name, STEPS, **options) == pytest.approx(expected, rel=1e-12)


def test_the_stored_figures_equal_pytorch():
    """Compute the figures again if PyTorch is installed (microgpt-lab[torch])."""
    pytest.importorskip("torch", reason="the optional check against PyTorch needs microgpt-lab[torch]")
    made = json.loads(json.dumps(make()))
    assert all_numbers(made) == pytest.approx(all_numbers(PYTORCH), rel=1e-9, abs=1e-15)
    assert str(made).count("[") == str(PYTORCH).count("[")


def all_numbers(figures):
    """All floats in nested lists and dicts."""
    if isinstance(figures, (list, dict)):
        inner = figures.values() if isinstance(figures, dict) else figures
        return [x for each in inner for x in all_numbers(each)]
    return [figures] if isinstance(figures, float) else []


# Steps, options and all factors, by hand. Warmup over the first w steps has the factors 1/(w + 1), 2/(w + 1),
# …: no step has a learning rate of 0, and the first step after it has the full learning rate.
BY_HAND = {
    "constant": (3, {}, [1, 1, 1]),
    "constant, warmed up": (4, {"warmup": 0.5}, [1 / 3, 2 / 3, 1, 1]),
    "constant, warming up all the time": (4, {"warmup": 1.0}, [1 / 5, 2 / 5, 3 / 5, 4 / 5]),
    "linear": (4, {}, [1, 3 / 4, 2 / 4, 1 / 4]),
    "linear, warmed up": (8, {"warmup": 0.25}, [1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
    "linear, not to 0": (4, {"final": 0.2}, [1, 0.8, 0.6, 0.4]),
    "linear, both": (6, {"warmup": 1 / 3, "final": 0.2}, [1 / 3, 2 / 3, 1, 0.8, 0.6, 0.4]),
    "cosine": (4, {}, [1, (1 + C45) / 2, 1 / 2, (1 - C45) / 2]),
    "cosine, not to 0": (3, {"final": 0.1}, [1, 0.1 + 0.9 * 3 / 4, 0.1 + 0.9 / 4]),
    "cosine, both": (5, {"warmup": 0.4, "final": 0.5}, [1 / 3, 2 / 3, 1, 7 / 8, 5 / 8]),
    "exponential": (4, {}, [1, 10**-0.5, 1 / 10, 10**-1.5]),
    "exponential, both": (6, {"warmup": 1 / 3, "final": 1 / 16}, [1 / 3, 2 / 3, 1, 1 / 2, 1 / 4, 1 / 8]),
    "step": (20, {}, [1] * 6 + [0.1] * 6 + [0.01] * 6 + [0.001] * 2),
    "step, warmed up": (6, {"warmup": 1 / 3, "every": 0.5, "gamma": 0.6}, [1 / 3, 2 / 3, 1, 1, 0.6, 0.6]),
    # the smaller of √(w / t) and t / w, where t counts from 1
    "inverse_sqrt": (20, {}, [1 / 2, *(sqrt(2 / t) for t in range(2, 21))]),
    "inverse_sqrt, w rounded up": (5, {"warmup": 0.35}, [1 / 2, 1, sqrt(2 / 3), sqrt(2 / 4), sqrt(2 / 5)]),
    "inverse_sqrt, w rounded down": (5, {"warmup": 0.45}, [1 / 2, 1, sqrt(2 / 3), sqrt(2 / 4), sqrt(2 / 5)]),
    "inverse_sqrt, w at least 1": (3, {"warmup": 0.0}, [1, sqrt(1 / 2), sqrt(1 / 3)]),
    "one_cycle": (
        20,
        {},
        [*(0.04 + 0.96 * (1 - cosine) / 2 for cosine in (1, C30, 1 / 2, 0, -1 / 2, -C30))]
        + [0.0001 + 0.9999 * (1 + cosine) / 2 for cosine in (1, *FALL, 0, *(-x for x in reversed(FALL)))],
    ),
    "one_cycle, other options": (
        5,
        {"peak": 0.4, "start": 0.5, "final": 0.2},
        [0.5, 0.75, 1, 0.2 + 0.8 * 3 / 4, 0.2 + 0.8 / 4],
    ),
    "wsd": (20, {}, [1 / 2, *[1] * 15, 1, 3 / 4, 2 / 4, 1 / 4]),
    "wsd, other options": (
        8,
        {"warmup": 0.25, "decay": 0.5, "final": 0.2},
        [1 / 3, 2 / 3, 1, 1, 1, 0.8, 0.6, 0.4],
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_factors_equal_the_formula(case):
    steps, options, expected = BY_HAND[case]
    assert factors(case.partition(",")[0], steps, **options) == pytest.approx(expected, rel=1e-12)


def test_every_scheduler_has_figures_for_its_defaults():
    ours = {
        name
        for name in registry().names("scheduler")
        if registry().get("scheduler", name).provider.startswith("microgpt_lab_plugins.")
    }
    assert ours == {case.partition(",")[0] for case in BY_HAND}
    assert ours == {case for case, (_, options, _) in BY_HAND.items() if not options}


def test_warmup_is_rounded_to_whole_steps():
    """Rounded to the nearest number: 0.26 of 10 steps is 3. After warmup, progress rises from 0 to 1."""
    assert [linear_warmup(step, 10, 0.26) for step in range(5)] == [
        (1 / 4, 0.0), (2 / 4, 0.0), (3 / 4, 0.0), (1.0, 0.0), (1.0, 1 / 7),
    ]  # fmt: skip
    assert [linear_warmup(step, 10, 0.24)[0] for step in range(3)] == [1 / 3, 2 / 3, 1.0]
    assert linear_warmup(10, 10, 0.26) == linear_warmup(10, 10, 0.9) == (1.0, 1.0)
    assert linear_warmup(0, 10, 0.04) == (1.0, 0.0)
    assert linear_warmup(10, 10, 1.0) == (1.0, 0.0)


@pytest.mark.parametrize("warmup", [-0.01, 1.01])
def test_warmup_is_a_fraction_of_the_steps(warmup):
    with pytest.raises((ValueError, UserError), match="warmup"):
        part("scheduler", "constant", warmup=warmup)(0, 10)
