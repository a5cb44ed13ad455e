"""Check a part of a GPT by itself: shapes, gradients, extreme inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, cast

from microgpt_lab.checks.gradients import assert_gradients, noise, tensor
from microgpt_lab.checks.invariants import length_free, small_gpt
from microgpt_lab.core.autograd import Value
from microgpt_lab.core.interface import ROLES, Position, Shape
from microgpt_lab.core.places import Places
from microgpt_lab.tensors.shapes import DOCS, LENGTH, ShapeTensor, same, weight_shapes

# Inputs of activations: large, moderate and the smallest positive float.
POINTS = [-100.0, -3.1, -0.7, -1e-3, 5e-324, 1e-3, 0.4, 2.9, 100.0]


def check_activation(f: Callable[[Any], Any]) -> None:
    """Check gradients, finite results, and equal results for floats, Values, and a single Value."""
    moderate = [x for x in POINTS if 1e-4 < abs(x) < 10]
    assert_gradients(f, tensor([moderate]))
    on_floats, on_values = f(tensor([POINTS])).data, f(tensor([POINTS]).tracked()).data
    for x, y, value in zip(POINTS, on_floats, on_values, strict=True):
        assert math.isfinite(y), f"the result for {x} is {y}, which is not finite"
        assert value.data == y, f"the result for {x} is {value.data} with Values but {y} with floats"
        try:
            single = f(Value(x)).data
        except AttributeError as error:
            raise AssertionError(
                f"it fails for a single Value: an activation must be elementwise: {error}"
            ) from error
        assert single == y, f"the result for a single Value({x}) is {single}, but in a tensor it is {y}"
    leaves = tensor([POINTS]).tracked()
    f(leaves).backward()
    for x in leaves.data:
        assert math.isfinite(x.grad), f"the gradient at {x.data} is {x.grad}, which is not finite"


def check_norm(norm: Any) -> None:
    """Check shape, gradients, and finite results for inputs of 0, 100 and the smallest float."""
    init = getattr(norm, "init", lambda embed: {})(6)
    learnable = {name: noise(len(rows), len(rows[0]), seed=3) for name, rows in init.items()}
    x = noise(3, 6)
    y = norm(x, **learnable)
    assert y.shape == x.shape, f"the norm changes the shape from {x.shape} to {y.shape}"
    assert_gradients(lambda x, *w: norm(x, **dict(zip(learnable, w, strict=True))), x, *learnable.values())
    for size in (0.0, 1e2, 5e-324):
        finite = all(map(math.isfinite, norm(x * size, **learnable).data))
        assert finite, f"a result is not finite for inputs of about {size}"


def check_position(position: Any) -> None:
    """Check that it keeps the shapes of embeddings, queries and scores."""
    assert isinstance(position, Position), "it is not a subclass of microgpt_lab.Position"
    methods = ("embed", "rotate", "bias")
    changed = any(getattr(type(position), name) is not getattr(Position, name) for name in methods)
    assert changed or getattr(position, "name", "") == "none", (
        f"it has no effect: override one of {', '.join(methods)}"
    )
    model, length = small_gpt(position=position), cast(int, LENGTH)
    weights = weight_shapes(model)
    shapes = {"embed": (DOCS, LENGTH, model.embed), "rotate": (DOCS, model.heads, LENGTH, model.head_dim)}
    shapes["bias"] = DOCS, model.heads, LENGTH, LENGTH
    for method, shape in shapes.items():
        x = ShapeTensor(shape)
        with length_free():
            y = getattr(position, method)(x, Places(0, length), **model.arguments(weights, "position", x))
        assert same(y.shape, shape), f"the shape is not kept: {method} makes {y.shape} of {shape}"


def check_weighting(weighting: Callable[[Any], Any]) -> None:
    """Check that what is not visible has weight 0, and that weights and gradients are finite."""
    shape = DOCS, 2, LENGTH, LENGTH
    with length_free():
        y = weighting(ShapeTensor(shape))
    assert same(y.shape, shape), f"the shape is not kept: {y.shape} of scores {shape}"
    scores = noise(5, 5)
    for size in ("noise * 100", "0", "100", "-100"):
        x = (scores * 100.0 if "noise" in size else scores * 0.0 + float(size)).tracked()
        y = weighting(x.causal())
        assert all(math.isfinite(w.data) for w in y.data), f"not finite: a weight, where scores are {size}"
        y.backward()
        assert all(math.isfinite(s.grad) for s in x.data), f"not finite: a gradient, where scores are {size}"
    for window in (0, 1, 2):
        masked = scores.causal(window)
        for s, weight in zip(masked.data, weighting(masked).data, strict=True):
            assert s > -math.inf or weight == 0, (
                f"leaks: a token that is not visible (-inf) has weight {weight}"
            )
        assert_gradients(lambda x, window=window: weighting(x.causal(window)), scores)


def check_init(init: Callable[..., Any]) -> None:
    """Check the shape of what it draws, for all roles, and that it draws from its generator alone."""
    model = small_gpt(init=init)
    for shape in (Shape(out, in_, role) for role in ROLES for out, in_ in ((8, 8), (3, 7), (7, 3), (1, 1))):
        rows = init(shape, model, Random(1))
        lists = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
        assert lists, f"it returned {type(rows).__name__}, not a list of rows, which are lists of numbers"
        sizes = {len(row) for row in rows}
        assert (len(rows), sizes) == (shape.out, {shape.in_}), (
            f"another shape: {len(rows)} rows of {sorted(sizes)} numbers for {shape}"
        )
        assert all(math.isfinite(x) for row in rows for x in row), f"not finite: a number for {shape}"
        assert rows == init(shape, model, Random(1)), (
            f"not repeatable: other numbers for {shape} from an equal generator: draw from `rng` alone"
        )


def check_loss(loss: Callable[..., Any]) -> None:
    """Check that it is lower where logits favour the target, and that its tokens do not mix."""
    logits, targets = noise(5, 5), [0, 1, 2, 3, 4]
    favoured = tensor([[4.0 * (i == j) for j in range(5)] for i in range(5)]).tracked()
    wrong = [1, 2, 3, 4, 0]
    at_targets, elsewhere = loss(favoured, targets), loss(favoured, wrong)
    assert at_targets.shape == (5, 1), (
        f"it returned shape {at_targets.shape} for logits (5, 5), not (5, 1): return one loss for each token"
    )
    for a, b in zip(at_targets.tolist(), elsewhere.tolist()):
        assert a < b, (
            f"not lowest where it should be: the loss is {a[0]} where logits favour the target, "
            f"and {b[0]} where they favour another token"
        )
    elsewhere.backward()
    for row, target in zip(favoured.rows, wrong):
        slope = row[target].grad
        assert slope < 0, f"not lowest where it should be: its slope along the target's logit is {slope}"
    assert_gradients(lambda x: loss(x, targets), logits)
    one = loss(logits, [0, 1, 3, 3, 4]).data
    changed = [t for t, (a, b) in enumerate(zip(one, loss(logits, targets).data)) if a != b]
    assert changed == [2], f"mixes tokens: another target of token 2 changes the loss of tokens {changed}"
    for size in (100.0, -100.0):
        x = (logits * size).tracked()
        y = loss(x, targets)
        y.backward()
        numbers = [n.data for n in y.data] + [n.grad for n in x.data]
        finite = all(map(math.isfinite, numbers))
        assert finite, "not finite: the loss or its gradient, for logits of about 100"


ALONE: dict[str, Callable[[Any], None]] = {
    "activation": check_activation,
    "norm": check_norm,
    "position": check_position,
    "weighting": check_weighting,
    "init": check_init,
    "loss": check_loss,
}
