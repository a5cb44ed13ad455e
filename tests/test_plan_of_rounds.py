"""Rounds of a sweep: which value is the best, and which jobs choose it and are compared."""

import pytest
from omegaconf import OmegaConf

from microgpt_lab import UserError
from microgpt_lab.commands.multirun.rounds import best_of, describe, make_plan


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([[3.0, 1.0], [1.5, 2.0], [4.0, 4.0]], 1),  # the lowest mean
        ([[0.1, None], [9.0, 9.0]], 1),  # a value with a diverged run loses
        ([[None, None], [2.0, None], [None, 1.0]], 2),  # unless every value has one
        ([[None], [None]], 0),
        ([[2.0], [2.0]], 0),
    ],
)
def test_the_best_value_has_the_lowest_mean_without_a_diverged_run(losses, best):
    assert best_of(losses) == best


def plan(*jobs, **sweeper):
    config = {"seed": 42, "hydra": {"sweeper": {"tune": None, "tuning_seeds": 2, "until": None} | sweeper}}
    return make_plan(OmegaConf.create(config), [job.split() for job in jobs])


def test_tuning_seeds_are_none_of_those_that_are_compared():
    jobs = [f"seed={seed} layers={n} lr={lr}" for seed in (7, -1, 3) for n in (1, 2) for lr in (0.1, 0.2)]
    found = plan(*jobs, tune="lr")
    assert found.seeds == [7, -1, 3] and found.tuning_seeds == [8, 9]
    assert found.candidates == {
        ("layers=1",): [("layers=1", "lr=0.1"), ("layers=1", "lr=0.2")],
        ("layers=2",): [("layers=2", "lr=0.1"), ("layers=2", "lr=0.2")],
    }
    assert len(found.tuning) == 8 and found.tuning[:2] == [
        ("layers=1", "lr=0.1", "seed=8"),
        ("layers=1", "lr=0.1", "seed=9"),
    ]
    assert len(found.all_jobs) == 8 + 6
    without_seed = plan("lr=0.1", "lr=0.2", tune=["lr"])
    assert (without_seed.seeds, without_seed.tuning_seeds) == ([42], [43, 44])


def test_several_keys_are_tuned_together():
    found = plan(*(f"lr={lr} beta={b} seed=0" for lr in (1, 2) for b in (3, 4, 5)), tune="lr, beta")
    assert found.budget == "tuning: 1 setting × 6 values × 2 seeds = 12 runs; then 1 × 1 = 1 run"


def test_a_value_is_not_called_the_best_if_no_run_has_a_loss():
    assert describe([[None], [None]], 0) == "is taken, because no run has a loss"
    assert (
        describe([[None, 3.0], [None, 2.0]], 1) == "is the best of 2 (mean 2.0000), 1 of 2 runs have no loss"
    )


def test_an_ordinary_grid_has_no_rounds():
    assert plan("lr=0.1 seed=0", "lr=0.2 seed=0") is None and plan(tune="lr") is None


@pytest.mark.parametrize(
    ("sweeper", "message"),
    [
        ({"tune": "lr", "tuning_seeds": 0}, "tuning_seeds=0: write a number of seeds, such as 3"),
        ({"tune": "seed"}, "a seed cannot be tuned"),
        ({"tune": "width"}, "tune width: the sweep needs several values of it: write width=A,B"),
        ({"tune": "lrr"}, "tune lrr: the sweep needs several values of it; did you mean 'lr'?"),
        ({"tune": "hydra.sweeper.tuning_seeds"}, "write hydra.sweeper.tuning_seeds=A,B"),
        ({"tune": 5}, "hydra.sweeper.tune=5: write a list of keys"),
        ({"tune": {"lr": 1}}, "write a list of keys"),
        ({"tune": [["lr"]]}, "write a list of keys"),
        ({"until": "narrow"}, "until=narrow: write the half-width"),
        ({"until": 0.1}, "until=0.1 adds seeds: write those that it may use"),
    ],
)
def test_rounds_that_do_not_fit_the_grid_are_refused(sweeper, message):
    with pytest.raises(UserError, match=message):
        plan("lr=0.1 seed=0", "lr=0.2 seed=1", **sweeper)
