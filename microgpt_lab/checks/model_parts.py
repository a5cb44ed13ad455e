"""Check a part of a GPT in a small GPT and in training, with its defaults and with other options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microgpt_lab.checks.alone import ALONE
from microgpt_lab.checks.invariants import INVARIANTS, assert_cached, assert_causal, small_gpt
from microgpt_lab.checks.training import LONG, SHORT, assert_same_losses
from microgpt_lab.errors import UserError
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry


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
        if part.kind in ALONE:
            ALONE[part.kind](built)
        model = small_gpt(**{part.kind: built})
        for check in INVARIANTS if part.kind != "init" else ():  # its weights are not used
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
