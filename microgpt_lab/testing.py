"""Test helpers for plugin authors: `tests_of` makes pytest's tests of all parts of a module.

>>> from microgpt_lab.testing import tests_of  # doctest: +SKIP
>>> import my_package  # doctest: +SKIP
>>> test_parts = tests_of(my_package)  # doctest: +SKIP

Each check of each part is a test. `check(part)` makes all of them at once. What they try, and how a part says
that it needs other sizes or options, is in docs/checking.md: `check_model`, `check_variants` and
`without_gradient`.

INVARIANTS: what must hold for a model of any parts, by name; each function takes a model.
OPERATIONS: expressions of the array protocol, by name; each function takes two matrices (3, 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microgpt_lab.checks.backends import OPERATIONS, assert_same_gradients
from microgpt_lab.checks.cases import Untried
from microgpt_lab.checks.gradients import assert_gradients, noise, tensor
from microgpt_lab.checks.invariants import (
    INVARIANTS,
    assert_aux_losses,
    assert_cached,
    assert_causal,
    assert_finite,
    assert_length_free,
    assert_padding_is_ignored,
)
from microgpt_lab.checks.options import check_options
from microgpt_lab.checks.parts import Check, check, check_variant, checks_of, parts_of
from microgpt_lab.checks.small import small_gpt
from microgpt_lab.checks.targets import plugins_in
from microgpt_lab.checks.training import assert_same_losses, losses, small_trainer
from microgpt_lab.registry.plugins import only

__all__ = [
    "INVARIANTS",
    "OPERATIONS",
    "Check",
    "Untried",
    "assert_aux_losses",
    "assert_cached",
    "assert_causal",
    "assert_finite",
    "assert_gradients",
    "assert_length_free",
    "assert_padding_is_ignored",
    "assert_same_gradients",
    "assert_same_losses",
    "check",
    "check_options",
    "check_variant",
    "checks_of",
    "losses",
    "noise",
    "parts_of",
    "small_gpt",
    "small_trainer",
    "tensor",
    "tests_of",
]


def tests_of(module: Any) -> Callable[..., None]:
    """Return a test for pytest, with a case for each check of each part of a plugin module or package.

    The parts are tried among the lab's own and those of the module, whatever else is installed. A backend
    that cannot be used is skipped. ValueError if the module defines no part.
    """
    import pytest

    plugins = plugins_in(module)
    with only(*plugins):
        checks = [check for part in parts_of(module) for check in checks_of(part)]
    if not checks:
        raise ValueError(f"{module.__name__} defines no part: it needs a hook, with @hookimpl")

    @pytest.mark.parametrize("each", checks, ids=str)
    def test(each: Check) -> None:
        with only(*plugins):
            try:
                each.run()
            except Untried as why:
                pytest.skip(str(why))
            except AssertionError as error:
                if isinstance(error.__cause__, AssertionError):  # the reason says it all
                    pytest.fail(str(error), pytrace=False)
                raise

    return test


tests_of.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]  its name looks like a test's
