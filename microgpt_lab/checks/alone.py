"""Check a part of a GPT by itself: shapes, gradients, extreme inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, cast

from microgpt_lab.checks.gradients import assert_gradients, noise, tensor
from microgpt_lab.checks.invariants import length_free
from microgpt_lab.checks.small import count, small_gpt
from microgpt_lab.core.autograd import Value
from microgpt_lab.core.interface import ROLES, Position, Shape
from microgpt_lab.core.places import Places
from microgpt_lab.tensors.shapes import DOCS, LENGTH, ShapeTensor, same, weight_shapes

# Inputs of activations, the simplest first; the last is the smallest positive float.
POINTS = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 100.0, -100.0, 1e-3, -1e-3, 5e-324]
SMOOTH = [0.4, -0.7, 1.3, 2.9, -3.1]  # where no piecewise function should have a kink


def assert_activation_shape(f: Callable[[Any], Any]) -> None:
    """Check that there is a result for each number."""
    x = tensor([POINTS])
    y = f(x)
    shape = getattr(y, "shape", None)
    assert shape == x.shape, (
        f"returns {type(y).__name__}, not a tensor"
        if shape is None
        else f"changes the shape from {x.shape} to {shape}"
    )


def assert_elementwise(f: Callable[[Any], Any]) -> None:
    """Check equal results for a number alone and in a tensor, with and without gradients."""
    on_floats, on_values = f(tensor([POINTS])).data, f(tensor([POINTS]).tracked()).data
    for x, y, value in zip(POINTS, on_floats, on_values):
        assert repr(value.data) == repr(y), (
            f"the result for {x} is {value.data} with Values but {y} with floats"
        )
        try:
            single = f(Value(x)).data
        except AttributeError as error:
            raise AssertionError(
                f"it fails for a single Value: an activation must be elementwise: {error}"
            ) from error
        assert repr(single) == repr(y), (
            f"the result for a single Value({x}) is {single}, but in a tensor it is {y}"
        )


def assert_finite_activation(f: Callable[[Any], Any]) -> None:
    """Check that results and gradients are finite, also for large and tiny numbers."""
    for x in POINTS:
        (leaf,) = (row := tensor([[x]]).tracked()).data
        y = f(row)
        assert math.isfinite(y.data[0].data), f"not finite: the result for {x} is {y.data[0].data}"
        y.backward()
        assert math.isfinite(leaf.grad), f"not finite: the gradient at {x} is {leaf.grad}"


def assert_activation_gradients(f: Callable[[Any], Any]) -> None:
    for x in SMOOTH:
        assert_gradients(f, tensor([[x]]))


def norm_with_weights(norm: Any) -> tuple[dict[str, Any], Callable[..., Any]]:
    """Return random weights of a norm for six features, and the norm as a function of x and them."""
    init = getattr(norm, "init", lambda embed: {})(6)
    learnable = {name: noise(len(rows), len(rows[0]), seed=3) for name, rows in init.items()}
    return learnable, lambda x, *w: norm(x, **dict(zip(learnable, w, strict=True)))


def assert_norm_shape(norm: Any) -> None:
    (learnable, f), x = norm_with_weights(norm), noise(3, 6)
    y = f(x, *learnable.values())
    assert y.shape == x.shape, f"the norm changes the shape from {x.shape} to {y.shape}"


def assert_norm_gradients(norm: Any) -> None:
    learnable, f = norm_with_weights(norm)
    for height in (1, 3):
        assert_gradients(f, noise(height, 6), *learnable.values())


def assert_finite_norm(norm: Any) -> None:
    """Check finite results for zeros, for a row of ones, and for inputs of 100 and the smallest float."""
    learnable, f = norm_with_weights(norm)
    x = noise(3, 6)
    inputs = {"zeros": x * 0.0, "ones": x * 0.0 + 1.0, "about 100": x * 1e2, "about 5e-324": x * 5e-324}
    for what, y in inputs.items():
        finite = all(map(math.isfinite, f(y, *learnable.values()).data))
        assert finite, f"a result is not finite for inputs of {what}"


def assert_has_effect(position: Any) -> None:
    """Check that it overrides a method of Position."""
    assert isinstance(position, Position), "it is not a subclass of microgpt_lab.Position"
    methods = ("embed", "rotate", "bias")
    changed = any(getattr(type(position), name) is not getattr(Position, name) for name in methods)
    assert changed or getattr(position, "name", "") == "none", (
        f"it has no effect: override one of {', '.join(methods)}"
    )


def assert_position_shapes(position: Any) -> None:
    """Check that it keeps the shapes of embeddings, queries and scores."""
    model, length = small_gpt(position=position), cast(int, LENGTH)
    weights = weight_shapes(model)
    shapes = {"embed": (DOCS, LENGTH, model.embed), "rotate": (DOCS, model.heads, LENGTH, model.head_dim)}
    shapes["bias"] = DOCS, model.heads, LENGTH, LENGTH
    for method, shape in shapes.items():
        x = ShapeTensor(shape)
        with length_free():
            y = getattr(position, method)(x, Places(0, length), **model.arguments(weights, "position", x))
        assert same(y.shape, shape), f"the shape is not kept: {method} makes {y.shape} of {shape}"


def assert_weighting_shape(weighting: Callable[[Any], Any]) -> None:
    shape = DOCS, 2, LENGTH, LENGTH
    with length_free():
        y = weighting(ShapeTensor(shape))
    assert same(y.shape, shape), f"the shape is not kept: {y.shape} of scores {shape}"


def assert_finite_weighting(weighting: Callable[[Any], Any]) -> None:
    """Check that weights and gradients are finite."""
    for tokens in (1, 2, 5):
        for size in ("0", "100", "-100", "noise * 100"):
            scores = noise(tokens, tokens)
            x = (scores * 100.0 if "noise" in size else scores * 0.0 + float(size)).tracked()
            y, where = weighting(x.causal()), f"where scores are {size}, of {count(tokens)}"
            assert all(math.isfinite(w.data) for w in y.data), f"not finite: a weight, {where}"
            y.backward()
            assert all(math.isfinite(s.grad) for s in x.data), f"not finite: a gradient, {where}"


def assert_hides(weighting: Callable[[Any], Any]) -> None:
    """Check that what is not visible has weight 0."""
    for tokens in (2, 5):
        for window in (0, 1, 2):
            masked = noise(tokens, tokens).causal(window)
            for s, weight in zip(masked.data, weighting(masked).data, strict=True):
                assert s > -math.inf or weight == 0, (
                    f"leaks: a token that is not visible (-inf) has weight {weight}, "
                    f"in a document of {count(tokens)}"
                )


def assert_weighting_gradients(weighting: Callable[[Any], Any]) -> None:
    for tokens in (2, 5):
        for window in (0, 1, 2):
            assert_gradients(lambda x, window=window: weighting(x.causal(window)), noise(tokens, tokens))


SHAPES = [Shape(out, in_, role) for role in ROLES for out, in_ in ((1, 1), (3, 7), (7, 3), (8, 8))]


def assert_drawn_shape(init: Callable[..., Any]) -> None:
    """Check that it returns finite numbers, in as many rows as asked for, for all roles."""
    model = small_gpt(init=init)
    for shape in SHAPES:
        rows = init(shape, model, Random(1))
        lists = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
        assert lists, f"it returned {type(rows).__name__}, not a list of rows, which are lists of numbers"
        sizes = {len(row) for row in rows}
        assert (len(rows), sizes) == (shape.out, {shape.in_}), (
            f"another shape: {len(rows)} rows of {sorted(sizes)} numbers for {shape}"
        )
        assert all(math.isfinite(x) for row in rows for x in row), f"not finite: a number for {shape}"


def assert_drawn_from_rng(init: Callable[..., Any]) -> None:
    """Check that it draws from its generator alone."""
    model = small_gpt(init=init)
    for shape in SHAPES:
        rows, again = (init(shape, model, Random(1)) for _ in range(2))
        assert rows == again, (
            f"not repeatable: other numbers for {shape} from an equal generator: draw from `rng` alone"
        )


def assert_lowest_at_target(loss: Callable[..., Any]) -> None:
    """Check that it is lower where logits favour the target, for 1 to 5 tokens."""
    for n in range(1, 6):
        favoured = tensor([[4.0 * (i == j) for j in range(5)] for i in range(n)]).tracked()
        targets, wrong = [0, 1, 2, 3, 4][:n], [1, 2, 3, 4, 0][:n]
        at_targets, elsewhere = loss(favoured, targets), loss(favoured, wrong)
        assert at_targets.shape == (n, 1), (
            f"it returned shape {at_targets.shape} for logits ({n}, 5), not ({n}, 1): "
            "return one loss for each token"
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


def assert_loss_gradients(loss: Callable[..., Any]) -> None:
    for n in (1, 5):
        assert_gradients(lambda x, n=n: loss(x, [0, 1, 2, 3, 4][:n]), noise(n, 5))


def assert_tokens_apart(loss: Callable[..., Any]) -> None:
    """Check that the loss of a token does not depend on other tokens."""
    for n in (2, 5):
        logits, targets = noise(n, 5), [0, 1, 2, 3, 4][:n]
        for token in range(n):
            others = [*targets[:token], (token + 1) % 5, *targets[token + 1 :]]
            one, two = loss(logits, targets).data, loss(logits, others).data
            changed = [t for t, (a, b) in enumerate(zip(one, two)) if a != b]
            assert changed == [token], (
                f"mixes tokens: another target of token {token} changes the loss of tokens {changed}, in a "
                f"document of {n} tokens"
            )


def assert_finite_loss(loss: Callable[..., Any]) -> None:
    """Check that it and its gradient are finite for large logits."""
    for n in (1, 5):
        for size in (0.0, 100.0, -100.0):
            x = (noise(n, 5) * size).tracked()
            y = loss(x, [0, 1, 2, 3, 4][:n])
            y.backward()
            numbers = [value.data for value in y.data] + [value.grad for value in x.data]
            finite = all(map(math.isfinite, numbers))
            assert finite, f"not finite: the loss or its gradient, for logits of about {abs(size):.0f}"


# By kind, what must hold for a part alone, by name.
ALONE: dict[str, dict[str, Callable[[Any], None]]] = {
    "activation": {
        "shapes": assert_activation_shape,
        "element by element": assert_elementwise,
        "finite": assert_finite_activation,
        "gradients": assert_activation_gradients,
    },
    "norm": {
        "shapes": assert_norm_shape,
        "finite": assert_finite_norm,
        "gradients": assert_norm_gradients,
    },
    "position": {"has an effect": assert_has_effect, "shapes": assert_position_shapes},
    "weighting": {
        "shapes": assert_weighting_shape,
        "finite": assert_finite_weighting,
        "hides the future": assert_hides,
        "gradients": assert_weighting_gradients,
    },
    "init": {"shapes": assert_drawn_shape, "repeatable": assert_drawn_from_rng},
    "loss": {
        "lowest at the target": assert_lowest_at_target,
        "tokens apart": assert_tokens_apart,
        "finite": assert_finite_loss,
        "gradients": assert_loss_gradients,
    },
}
