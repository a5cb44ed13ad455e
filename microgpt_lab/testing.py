"""Test helpers for plugin authors: `check` tests that a part does what the lab expects of its kind.

import pytest
import my_module
from microgpt_lab.testing import check, parts_of

@pytest.mark.parametrize("part", parts_of(my_module), ids=str)
def test_part(part):
    check(part)

`check` tries a part of a GPT, a tokenizer or a sampler with its defaults, then each option with other
values, then all flags together.
A part may list further options to try, such as texts, or options that need each other:
`check_variants = ({"window": 2, "window_pattern": "SL"},)`. One that needs another model than the small one
(3 layers, 4 heads, embed 8, block_size 7) says so: `check_model = {"position": "rope", "embed": 16}`.
One that leaves weights without gradient names them in `without_gradient`, with wildcards: an MLP that ignores
x has `without_gradient = ("layer*.norm2.*",)`.
"""

from microgpt_lab.checks.alone import (
    POINTS,
    check_activation,
    check_init,
    check_loss,
    check_norm,
    check_position,
    check_weighting,
)
from microgpt_lab.checks.backends import OPERATIONS, assert_same_gradients, check_backend
from microgpt_lab.checks.gradients import assert_gradients, noise, tensor
from microgpt_lab.checks.invariants import (
    INVARIANTS,
    assert_aux_losses,
    assert_cached,
    assert_causal,
    assert_finite,
    assert_gradients_arrive,
    assert_length_free,
    assert_padding_is_ignored,
    small_gpt,
)
from microgpt_lab.checks.model_parts import check_model_part, check_variant
from microgpt_lab.checks.options import check_options
from microgpt_lab.checks.parts import (
    CHECKS,
    check,
    check_callback,
    check_dataset,
    check_optimizer,
    check_scheduler,
    parts_of,
)
from microgpt_lab.checks.samplers import check_sampler
from microgpt_lab.checks.tokenizers import check_tokenizer
from microgpt_lab.checks.training import assert_same_losses, losses, small_trainer

__all__ = [
    "CHECKS",
    "INVARIANTS",
    "OPERATIONS",
    "POINTS",
    "assert_aux_losses",
    "assert_cached",
    "assert_causal",
    "assert_finite",
    "assert_gradients",
    "assert_gradients_arrive",
    "assert_length_free",
    "assert_padding_is_ignored",
    "assert_same_gradients",
    "assert_same_losses",
    "check",
    "check_activation",
    "check_backend",
    "check_callback",
    "check_dataset",
    "check_init",
    "check_loss",
    "check_model_part",
    "check_norm",
    "check_optimizer",
    "check_options",
    "check_position",
    "check_sampler",
    "check_scheduler",
    "check_tokenizer",
    "check_variant",
    "check_weighting",
    "losses",
    "noise",
    "parts_of",
    "small_gpt",
    "small_trainer",
    "tensor",
]
