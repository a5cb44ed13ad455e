"""Test helpers for plugin authors: `check` tests that a part does what the lab expects of its kind.

import pytest
import my_module
from microgpt_lab.testing import check, parts_of

@pytest.mark.parametrize("part", parts_of(my_module), ids=str)
def test_part(part):
    check(part)
"""

from microgpt_lab.checks.options import check_options
from microgpt_lab.checks.parts import (
    CHECKS,
    OPERATIONS,
    POINTS,
    assert_gradients,
    assert_same_gradients,
    assert_same_losses,
    check,
    check_activation,
    check_backend,
    check_callback,
    check_dataset,
    check_norm,
    check_optimizer,
    check_scheduler,
    losses,
    noise,
    parts_of,
    small_trainer,
    tensor,
)

__all__ = [
    "CHECKS",
    "OPERATIONS",
    "POINTS",
    "assert_gradients",
    "assert_same_gradients",
    "assert_same_losses",
    "check",
    "check_activation",
    "check_backend",
    "check_callback",
    "check_dataset",
    "check_norm",
    "check_optimizer",
    "check_options",
    "check_scheduler",
    "losses",
    "noise",
    "parts_of",
    "small_trainer",
    "tensor",
]
