"""Check a part of a GPT in a small GPT and in training, with its defaults and with other options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microgpt_lab.checks.alone import ALONE
from microgpt_lab.checks.invariants import (
    IDS,
    INVARIANTS,
    assert_cached,
    assert_causal,
    assert_gradients_arrive,
    random_weights,
    small_gpt,
)
from microgpt_lab.checks.training import LONG, SHORT, assert_same_losses
from microgpt_lab.errors import UserError
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import part, registry

# Kind and name of a part that an attention may forget, one that does less, and how to use it.
OTHERS = (
    ("position", "rope", "none", "call at.rotate on queries and keys"),
    ("position", "alibi", "none", "call at.bias on scores"),
    ("weighting", "sigmoid", "softmax", "call at.gpt.weighting on scores"),
)


ADVICE = 'set `check_model` to what it needs, such as {"position": "rope", "embed": 16}'


def variants(part: Part) -> Iterator[dict[str, Any]]:
    """Yield options that differ from the defaults: each by itself, then all flags together.

    Flags are flipped, the other choices of a Literal taken, whole numbers set to 1, 2 and 3, other numbers to
    0.5. Further options, such as texts, or those that need each other, are in the part's `check_variants`.
    """
    for name, option in part.options.items():
        values = {bool: [not option.default], int: [1, 2, 3], float: [0.5]}.get(option.type, option.choices)
        yield from ({name: value} for value in values if value != option.default)
    flags = {name: not option.default for name, option in part.options.items() if option.type is bool}
    if len(flags) > 1:
        yield flags


def check_model_part(part: Part) -> None:
    """Check a part with its defaults, and with `variants` of its options, except those that it refuses.

    It must accept its defaults, and those in its `check_variants`.

    AssertionError names the variant and the invariant.
    """
    for options in ({}, *getattr(part.make, "check_variants", ())):
        check_variant(part, **options)
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
        if part.kind in ALONE:
            ALONE[part.kind](built)
        try:
            model = small_gpt(**{part.kind: built})
        except ValueError as error:
            raise AssertionError(f"refused in a small model: {error} ({ADVICE})") from error
        ones = any(type(value) is int and value == 1 for value in options.values())
        for check in INVARIANTS if part.kind != "init" else ():  # its weights are not used
            if not (ones and check is assert_gradients_arrive):  # with 1 expert, say, a router has no effect
                check(model)
        if part.kind == "attention" and not options:
            check_with_positions(built)
        numpy = registry().get("backend", "numpy").build()
        assert_same_losses(numpy, **(SHORT if options else LONG), **{part.kind: built})
    except AssertionError as error:
        raise AssertionError(f"{label}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{label} raises {type(error).__name__}: {error}") from error


def check_with_positions(attention: Any) -> None:
    """Check an attention with positions that rotate or bias, and with another weighting.

    It is causal, and right with a cache. And it has other logits than without them, or it refuses them.
    """
    for kind, name, plain, advice in OTHERS:
        try:
            models = [small_gpt(attention=attention, **{kind: part(kind, each)}) for each in (name, plain)]
            logits = [model.logits(random_weights(model), IDS).tolist() for model in models]
        except ValueError:
            continue
        assert logits[0] != logits[1], f"ignores {kind}={name}: {advice}, or refuse it in weights(gpt)"
        try:
            assert_causal(models[0])
            assert_cached(models[0])
        except AssertionError as error:
            raise AssertionError(f"with {kind}={name}: {error}") from error
