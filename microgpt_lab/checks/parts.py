"""Check a part by its kind: gradients, shapes, extreme inputs, equal results on the backends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from microgpt_lab.checks.alone import ALONE
from microgpt_lab.checks.backends import check_backend
from microgpt_lab.checks.gradients import noise
from microgpt_lab.checks.model_parts import check_model_part, variants
from microgpt_lab.checks.options import check_options
from microgpt_lab.checks.samplers import check_sampler
from microgpt_lab.checks.tokenizers import check_tokenizer
from microgpt_lab.checks.training import assert_same_losses
from microgpt_lab.core.documents import Documents, Split, check_returned
from microgpt_lab.core.interface import ROLES
from microgpt_lab.core.packing import role_argument
from microgpt_lab.errors import UserError
from microgpt_lab.registry.hookspecs import EVENTS, MODEL_KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import collect, registry


def parts_of(module: Any) -> list[Part]:
    """Return the parts that a plugin module defines."""
    return collect(module, module.__name__)


def check(part: Part) -> None:
    """Check that a part does what its kind must do. AssertionError, with the reason, if it does not."""
    try:
        check_all(part)
    except AssertionError as error:
        if not part.since:
            raise
        raise AssertionError(f"{error}{part.since}") from error


def check_all(part: Part) -> None:
    """`check`, without what changed since the part was written."""
    assert part.summary, (
        f"{part.kind}={part.name} has no docstring: its first line describes the part in --help"
    )
    if part.kind in MODEL_KINDS:
        check_model_part(part)
    elif part.kind in ("tokenizer", "sampler"):
        check_with_variants(part)
    else:
        CHECKS[part.kind](part.build())
    check_options(part)
    if part.kind == "optimizer":
        assert_same_losses(registry().get("backend", "numpy").build(), optimizer=part.build())


def check_with_variants(part: Part) -> None:
    """Check a part with its defaults, and with `variants` of its options, except those that it refuses."""
    for options in ({}, *getattr(part.make, "check_variants", ()), *variants(part)):
        label = " ".join(f"{key}={value}" for key, value in options.items()) or "its defaults"
        try:
            CHECKS[part.kind](part.build(**options))
        except (UserError, ValueError) as error:
            assert options, f"{part.kind}={part.name} refuses {label}: {error}"
        except AssertionError as error:
            raise AssertionError(f"{part.kind}={part.name} with {label}: {error}") from error


def check_optimizer(optimizer: Any) -> None:
    """Check that it minimizes (w - target)² / 2, keeps the shape, and depends only on its arguments.

    An optimizer that gets the role of weights must do so in each role. One with `elementwise = True`
    must give the same numbers for a matrix and for a row.
    """
    asks = role_argument(optimizer.init, "") or role_argument(optimizer.update, "")
    for role in ROLES if asks else ROLES[:1]:
        init, update = (partial(f, **role_argument(f, role)) for f in (optimizer.init, optimizer.update))
        check_role(init, update, optimizer.lr, role)
        if getattr(optimizer, "elementwise", False):
            g, w = noise(4, 6), noise(4, 6, seed=1)
            row_g, row_w = g.reshape(1, 24), w.reshape(1, 24)
            as_matrix = update(g, init(w), w, optimizer.lr, 3)[0]
            as_row = update(row_g, init(row_w), row_w, optimizer.lr, 3)[0]
            assert as_matrix.data == as_row.data, (
                "update gives other numbers for a row (1, 24) than for a matrix (4, 6): "
                "remove elementwise = True"
            )


def check_role(init: Callable, update: Callable, lr: float, role: str) -> None:
    """`check_optimizer` for weights of one role."""
    for shape in ((4, 6), (1, 6)):
        target, w = noise(*shape), noise(*shape, seed=1)
        state, before = init(w), (w - target).norm().item()
        first = update(w - target, state, w, lr, 0)[0]
        for step in range(300):
            new, state = update(w - target, state, w, lr * (1 - step / 300), step)
            assert new.shape == w.shape, (
                f"update changes the shape of the weights from {w.shape} to {new.shape}"
            )
            assert step or new.data == first.data, (
                "a second update with the same arguments gives other weights: keep all state in `state`"
            )
            w = new
        after = (w - target).norm().item()
        assert after < before, (
            f"300 steps on the loss (w - target)² / 2 do not reduce it, for weights of role {role}: "
            f"the distance to the target was {before} and is {after}"
        )


def check_scheduler(scheduler: Callable[[int, int], float]) -> None:
    """Check that the factors are from 0 to 1, and not all 0, for runs of 1 to 1,000 steps."""
    for steps in (1, 2, 10, 1000):
        factors = [scheduler(step, steps) for step in range(steps)]
        for step, factor in enumerate(factors):
            assert 0 <= factor <= 1 + 1e-12, (
                f"the factor at step {step} of {steps} is {factor}, not from 0 to 1"
            )
        assert any(factors), f"all factors of a run of {steps} steps are 0"


def check_dataset(dataset: Callable[[], list[str] | Split]) -> None:
    """Check that it returns the same non-empty strings each time, and asks no question of a task twice."""
    returned = dataset()
    try:
        check_returned("the data set", returned)
    except ValueError as error:
        raise AssertionError(str(error)) from None
    documents = Documents(returned)
    for i, document in enumerate(documents):
        assert document, f"document {i} is an empty string"
    assert returned == dataset(), (
        "a second call returns other documents: use a random generator with a fixed seed"
    )
    if after := getattr(getattr(dataset, "func", dataset), "answer_after", None):
        for document in documents:
            assert after in document, (
                f"document '{document}' of a task does not contain answer_after='{after}'"
            )
        questions = Counter(document.partition(after)[0] for document in documents)
        (question, times), *_ = questions.most_common(1)
        assert times == 1, (
            f"the question '{question}' occurs {times} times: the model could memorize its answer"
        )


def check_callback(callback: Any) -> None:
    """Check that at least one method has the name of a hook."""
    assert any(hasattr(callback, event) for event in EVENTS), (
        f"the callback has no method that is called during a run: define one of {', '.join(EVENTS)}"
    )


CHECKS: dict[str, Callable[[Any], None]] = ALONE | {
    "optimizer": check_optimizer,
    "scheduler": check_scheduler,
    "dataset": check_dataset,
    "tokenizer": check_tokenizer,
    "sampler": check_sampler,
    "backend": check_backend,
    "callback": check_callback,
}
