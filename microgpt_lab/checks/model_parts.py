"""Check a part of a GPT: by itself, then in a small GPT, with its defaults and with other options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, cast

from microgpt_lab.checks.gradients import assert_gradients, noise, tensor
from microgpt_lab.checks.invariants import INVARIANTS, assert_cached, assert_causal, length_free, small_gpt
from microgpt_lab.checks.training import BATCH, assert_same_losses
from microgpt_lab.core.interface import Position, Shape
from microgpt_lab.core.places import Places
from microgpt_lab.errors import UserError
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors.shapes import DOCS, LENGTH, ShapeTensor, same, size_of


def variants(part: Part) -> Iterator[dict[str, Any]]:
    """Yield options that differ from the defaults: each by itself, then all flags together.

    Flags are flipped, the other choices of a Literal taken, whole numbers set to 2, other numbers to 0.5.
    """
    for name, option in part.options.items():
        values = {bool: [not option.default], int: [2], float: [0.5]}.get(option.type, option.choices)
        yield from ({name: value} for value in values if value != option.default)
    flags = {name: not option.default for name, option in part.options.items() if option.type is bool}
    if len(flags) > 1:
        yield flags


def check_model_part(part: Part) -> None:
    """Check a part with its defaults, and with `variants` of its options, except those that it refuses.

    AssertionError names the variant and the invariant.
    """
    check_variant(part)
    for options in variants(part):
        try:
            small_gpt(**{part.kind: part.build(**options)}).tables  # noqa: B018  may be refused too
        except (UserError, ValueError):
            continue
        check_variant(part, **options)


def check_variant(part: Part, **options: Any) -> None:
    """Check a part with these options: by itself, in a small GPT, and in training on numpy."""
    label = " ".join([f"{part.kind}={part.name}", *(f"{key}={value}" for key, value in options.items())])
    try:
        built = part.build(**options)
        ALONE.get(part.kind, lambda built: None)(built)
        for check in INVARIANTS if part.kind != "init" else ():
            check(small_gpt(**{part.kind: built}))
        if part.kind == "attention" and not options:
            check_with_positions(built)
        numpy = registry().get("backend", "numpy").build()
        assert_same_losses(numpy, **(BATCH | {"steps": 2} if options else BATCH), **{part.kind: built})
    except AssertionError as error:
        raise AssertionError(f"{label}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{label} raises {type(error).__name__}: {error}") from error


def check_with_positions(attention: Any) -> None:
    """Check that an attention is causal, and right with a cache, with positions that rotate or bias."""
    for name in ("rope", "alibi"):
        position = registry().get("position", name).build()
        try:
            model = small_gpt(attention=attention, position=position)
        except ValueError:
            continue
        try:
            assert_causal(model)
            assert_cached(model)
        except AssertionError as error:
            raise AssertionError(f"with position={name}: {error}") from error


def check_position(position: Any) -> None:
    """Check that it keeps the shapes of embeddings, queries and scores."""
    assert isinstance(position, Position), "a position is a subclass of microgpt_lab.Position"
    model, length = small_gpt(position=position), cast(int, LENGTH)
    weights = {name: ShapeTensor(size_of(each)) for name, each in model.declared.items()}
    shapes = {"embed": (DOCS, LENGTH, model.embed), "rotate": (DOCS, model.heads, LENGTH, model.head_dim)}
    shapes["bias"] = DOCS, model.heads, LENGTH, LENGTH
    for method, shape in shapes.items():
        x = ShapeTensor(shape)
        with length_free():
            y = getattr(position, method)(x, Places(0, length), **model.own(weights, "position", x))
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
    roles = ("embedding", "hidden", "residual", "head", "scale")
    for shape in (Shape(out, in_, role) for role in roles for out, in_ in ((8, 8), (3, 7), (7, 3), (1, 1))):
        rows = init(shape, model, Random(1))
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
    favoured, wrong = (
        tensor([[4.0 * (i == j) for j in range(5)] for i in range(5)]).tracked(),
        [1, 2, 3, 4, 0],
    )
    at_targets, elsewhere = loss(favoured, targets), loss(favoured, wrong)
    assert at_targets.shape == (5, 1), f"the shape is {at_targets.shape} for logits (5, 5), not (5, 1)"
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
        finite = all(math.isfinite(n.data) for n in y.data) and all(math.isfinite(n.grad) for n in x.data)
        assert finite, "not finite: the loss or its gradient, for logits of about 100"


ALONE: dict[str, Callable[[Any], None]] = {
    "position": check_position,
    "weighting": check_weighting,
    "init": check_init,
    "loss": check_loss,
}
