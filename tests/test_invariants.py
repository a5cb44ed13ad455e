"""Invariants of the parts of a GPT: `check` names what a broken part breaks."""

import inspect
import operator
import re
from typing import ClassVar

import pytest
from broken_parts import BROKEN, broken_part
from broken_readers import READERS

from microgpt_lab import GPT, Heads, Position, part
from microgpt_lab.checks.invariants import assert_right_gradients
from microgpt_lab.core.model import Multihead
from microgpt_lab.ops import convolve
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors.shapes import DOCS, LENGTH, ShapeTensor, TokensRead, flops_per_token
from microgpt_lab.testing import (
    INVARIANTS,
    OPERATIONS,
    assert_cached,
    assert_length_free,
    assert_padding_is_ignored,
    check,
    check_variant,
    noise,
    small_gpt,
    small_trainer,
)


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "make", "message"), BROKEN, ids=[make.__name__ for _, make, _ in BROKEN])
def test_a_broken_part_is_told_what_it_breaks(kind, make, message):
    with pytest.raises(AssertionError) as caught:
        check(broken_part(kind, make))
    assert re.search(message, str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("kind", "make"),
    [(kind, make) for kind in READERS for make in READERS[kind]],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_a_part_that_reads_the_number_of_tokens_is_refused(kind, make):
    built = make() if inspect.isclass(make) else make
    with pytest.raises(
        AssertionError, match=r"^(not length-free: a part must not|raises TypeError: places cannot be)"
    ):
        assert_length_free(small_gpt(**{kind: built}))


class Rotated(Multihead):
    """Needs a position that rotates, and wide embeddings."""

    check_model: ClassVar = {"position": "rope", "embed": 16}

    def weights(self, gpt):
        if type(gpt.position).rotate is Position.rotate or gpt.embed % 16:
            raise ValueError("it needs a position that rotates, and embed divisible by 16")
        return super().weights(gpt)


def test_a_part_is_checked_in_the_model_that_it_needs():
    check_variant(broken_part("attention", Rotated))


OPTIONS = [
    {"tie_embeddings": True, "embed_scale": 3.0, "logit_softcap": 2.0},
    {"final_norm": True, "embed_norm": False},
    # With softmax, the bias of keys has no effect: it adds the same number to all scores of a query.
    {"bias": True, "weighting": part("weighting", "sigmoid"), "mlp": part("mlp", "moe")},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
def test_models_with_other_options_keep_the_invariants(options):
    for check_invariant in INVARIANTS.values():
        check_invariant(small_gpt(**options))


class Reader:
    """Adds the length of a batch to the loss; where that is unknown, nothing."""

    aux_losses = ("length",)

    def __call__(self, x, at):
        length = at.places.stop
        at.add_loss("length", x[:1] * 0.0 + (length if isinstance(length, int) else 0.0))
        return x


def test_a_part_that_depends_on_padding_is_told_so():
    """No other invariant catches this one: it has no effect on logits, and one length at a time is right."""
    model = small_gpt(mlp=Reader())
    assert_length_free(model)
    with pytest.raises(
        AssertionError, match=r"depends on padding: the loss of token 0 of 2 is .* in a document alone"
    ):
        assert_padding_is_ignored(model)


@pytest.mark.parametrize("size", [DOCS, LENGTH], ids=str)
def test_an_unknown_size_refuses_to_be_a_number(size):
    pairs = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne")
    for f in (getattr(operator, name) for name in pairs):
        for operands in ((size, 2), (2, size), (size, 0.5)):
            with pytest.raises(TokensRead):
                f(*operands)
    for f in (int, float, bool, len, list, range, abs, round, operator.index, [0].__mul__, "x".__mul__):
        with pytest.raises(TokensRead):
            f(size)
    with pytest.raises(TokensRead):
        _ = size in (1, 2)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_shapes_are_those_of_tensors(operation):
    f = OPERATIONS[operation]
    assert f(ShapeTensor((3, 4)), ShapeTensor((3, 4))).shape == f(noise(3, 4), noise(3, 4, seed=1)).shape


def test_shapes_that_do_not_fit_are_refused_as_those_of_tensors():
    impossible = [lambda a, b: a + b, lambda a, b: a @ b, lambda a, b: a.concat(b), lambda a, b: a[0]]
    impossible += [lambda a, b: a.reshape(2, 5), lambda a, b: a * [1.0], lambda a, b: a if a > 0 else b]
    for f in impossible:
        with pytest.raises((ValueError, TypeError)):
            f(ShapeTensor((3, 4)), ShapeTensor((2, 3)))


def gpt(**chosen):
    built = {"activation": part("activation", "relu"), "norm": part("norm", "rmsnorm")} | chosen
    return GPT(27, **built)


def test_operations_are_counted_as_by_hand():
    """6 for each weight of a matrix product, and 12 · block_size · embed for scores and their sums."""
    attention, mlp, head, scores = 4 * 16 * 16, 2 * 4 * 16 * 16, 27 * 16, 12 * 16 * 16
    assert flops_per_token(gpt()) == 6 * (attention + mlp + head) + scores
    assert flops_per_token(gpt(layers=3)) == 6 * (3 * attention + 3 * mlp + head) + 3 * scores
    assert flops_per_token(gpt(block_size=32)) == flops_per_token(gpt()) + scores
    assert flops_per_token(gpt(mlp=part("mlp", "none"))) == 6 * (attention + head) + scores
    fewer = gpt(attention=part("attention", "multihead", kv_heads=1))
    assert flops_per_token(fewer) == flops_per_token(gpt()) - 6 * 2 * 12 * 16
    alike = gpt(position=part("position", "rope"), weighting=part("weighting", "sigmoid"))
    assert flops_per_token(alike) == flops_per_token(gpt())


@pytest.mark.parametrize("name", registry().names("loss"))
def test_validation_is_cross_entropy_whatever_the_loss(name):
    chosen, plain = (
        small_trainer(part("backend", "numpy"), loss=part("loss", each)) for each in (name, "cross_entropy")
    )
    documents = plain.corpus.train[:8]
    assert chosen.evaluate(documents) == plain.evaluate(documents)


class SumOfSums(Heads):
    """A sum over all tokens so far, in which each counts with a sum over all tokens before it."""

    def tables(self, gpt):
        return {"ones": [[1.0]] * gpt.block_size}

    def __call__(self, x, at, wq, wk, wv, wo, ones):
        (keys,) = at.remember(wk(x))
        values, sums = at.remember(wv(x), convolve(keys, ones, at.places))
        return wo(wq(x) * convolve(sums * values, ones, at.places))


def test_a_part_may_remember_what_it_computes_of_what_it_remembers():
    assert_cached(small_gpt(attention=SumOfSums()))


def test_right_gradients_of_a_steep_function_are_right():
    attention = part("attention", "multihead", qk_norm=True, qk_gain=True, kv_heads=2, head_dim=2)
    assert_right_gradients(small_gpt(attention=attention, norm=part("norm", "layernorm"), layers=2, embed=24))
