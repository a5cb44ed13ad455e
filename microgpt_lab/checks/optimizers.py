"""Check an optimizer on a parabola, and the factors of a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from microgpt_lab.checks.gradients import noise
from microgpt_lab.core.interface import ROLES
from microgpt_lab.core.packing import role_argument


def assert_pure(optimizer: Any) -> None:
    """Check that an update keeps the shape of the weights, and depends only on its arguments."""
    for role, init, update in methods(optimizer):
        for shape in ((1, 1), (1, 6), (4, 6)):
            target, w = noise(*shape), noise(*shape, seed=1)
            state = init(w)
            new, _ = update(w - target, state, w, optimizer.lr, 0)
            assert new.shape == w.shape, (
                f"update changes the shape of the weights from {w.shape} to {new.shape}"
            )
            update(w, state, w, optimizer.lr, 1)
            again, _ = update(w - target, state, w, optimizer.lr, 0)
            assert again.data == new.data, (
                "a second update with the same arguments gives other weights: keep all state in `state` "
                f"(weights {shape}, role {role})"
            )


def assert_minimizes(optimizer: Any) -> None:
    """Check that 300 steps with a linear schedule come nearer to the minimum of (w - target)² / 2."""
    for role, init, update in methods(optimizer):
        for shape in ((1, 6), (4, 6)):
            target, w = noise(*shape), noise(*shape, seed=1)
            state, before = init(w), (w - target).norm().item()
            for step in range(300):
                w, state = update(w - target, state, w, optimizer.lr * (1 - step / 300), step)
            after = (w - target).norm().item()
            assert after < before, (
                "300 steps on the loss (w - target)² / 2 do not reduce it, "
                f"for weights {shape} of role {role}: "
                f"the distance to the target was {before:.4g} and is {after:.4g}"
            )


def methods(optimizer: Any) -> Iterator[tuple[str, Callable, Callable]]:
    """Yield init and update for each role; for one role if they do not ask for it."""
    asks = role_argument(optimizer.init, "") or role_argument(optimizer.update, "")
    for role in ROLES if asks else ROLES[:1]:
        init, update = (partial(f, **role_argument(f, role)) for f in (optimizer.init, optimizer.update))
        yield role, init, update


def assert_elementwise(optimizer: Any) -> None:
    """Check that one with `elementwise = True` gives the same numbers for a matrix and for a row."""
    if not getattr(optimizer, "elementwise", False):
        return
    for _, init, update in methods(optimizer):
        g, w = noise(4, 6), noise(4, 6, seed=1)
        row_g, row_w = g.reshape(1, 24), w.reshape(1, 24)
        as_matrix = update(g, init(w), w, optimizer.lr, 3)[0]
        as_row = update(row_g, init(row_w), row_w, optimizer.lr, 3)[0]
        assert as_matrix.data == as_row.data, (
            "update gives other numbers for a row (1, 24) than for a matrix (4, 6): remove elementwise = True"
        )


OPTIMIZER: dict[str, Callable[[Any], None]] = {
    "pure": assert_pure,
    "minimizes": assert_minimizes,
    "elementwise": assert_elementwise,
}


def assert_factors(scheduler: Callable[[int, int], float]) -> None:
    """Check that the factors are from 0 to 1, and not all 0, for runs of 1 to 1,000 steps."""
    for steps in (1, 2, 3, 4, 10, 1000):
        factors = [scheduler(step, steps) for step in range(steps)]
        for step, factor in enumerate(factors):
            assert 0 <= factor <= 1 + 1e-12, (
                f"the factor at step {step} of {steps} is {factor}, not from 0 to 1"
            )
        assert any(factors), f"all factors of a run of {steps} steps are 0"


def assert_repeatable(scheduler: Callable[[int, int], float]) -> None:
    """Check that a factor depends on the step and the number of steps alone, as in a resumed run."""
    for steps in (1, 2, 10):
        factors = [scheduler(step, steps) for step in range(steps)]
        for step in reversed(range(steps)):
            again = scheduler(step, steps)
            assert again == factors[step], (
                f"the factor at step {step} of {steps} was {factors[step]}, and is {again} when asked again: "
                "it must depend on step and steps alone"
            )


SCHEDULER: dict[str, Callable[[Any], None]] = {"from 0 to 1": assert_factors, "repeatable": assert_repeatable}
