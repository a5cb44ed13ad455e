"""The version of the hooks, and what changed in each: for plugins that were written for another one.

A plugin states the version in its module: `MICROGPT_LAB_HOOKS = 6`. One that states none gets no advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.registry.hookspecs import EVENTS, KINDS, hook_of

HOOKS = 6
NAME = "MICROGPT_LAB_HOOKS"  # the attribute of a module that states the version

# What may make a plugin for the version before fail, by kind of part; "" is for all kinds.
CHANGES: dict[int, dict[str, str]] = {
    2: {
        "norm": "x.norm() is a tensor of shape (1, 1), not a number",
        "optimizer": "x.norm() is a tensor of shape (1, 1), not a number",
        "backend": "a backend is a subclass of microgpt_lab.Backend; value_and_grad returns a tensor as loss",
        "callback": "trainer.grads is gone; metrics are read-only; a callback that needs the weights every n "
        "steps has an attribute `every`",
    },
    3: {
        "": "import from microgpt_lab, microgpt_lab.ops and microgpt_lab.testing: other modules have moved",
        "scheduler": "microgpt_lab.schedule.warm is microgpt_lab.core.warmup.linear_warmup",
        "backend": "Batch.share and Block.share are loss_weight, Dropout.places is sites",
    },
    4: {
        "backend": "value_and_grad gets a loss that is a row (1, K); Batch.dropout is the list "
        "Batch.dropouts; tensors have table, take, by_distance and causal(window)",
        "callback": "weights are named after their parts, such as layer0.attention.wq; model.init is "
        "model.initial_weights",
    },
    5: {
        "backend": "the first Batch.context predictions of a piece do not count",
        "callback": "corpus.chars is corpus.tokenizer.tokens; trainer.sample has no temperature, which is an "
        "option of the sampler",
    },
    6: {
        "optimizer": "a method called gradient_at says at which weights the gradient is taken",
        "backend": "Backend.accumulate adds up the parts of a batch, of which Batch.parts is the number",
        "callback": "methods called measured and pictured are hooks",
    },
}


def stated(plugin: Any) -> int | None:
    """Return the version of the hooks that a module states; None if none. TypeError if it is no version."""
    version = getattr(plugin, NAME, None)
    if version is not None and (type(version) is not int or version < 1):
        raise TypeError(f"{NAME} must be a whole number from 1, not {version!r}")
    return version


class TooNew(UserError):
    """A plugin is written for a version of the hooks that only a newer lab has."""


def check_version(plugin: Any) -> None:
    """Raise TooNew if this lab does not have the version of the hooks that a module states."""
    version = stated(plugin)
    if version is not None and version > HOOKS:
        raise TooNew(too_new(version))


def too_new(version: int) -> str:
    return f"written for version {version} of the hooks, and this lab has {HOOKS}: upgrade microgpt-lab"


def changes(version: int, kinds: Iterable[str]) -> str:
    """Return what changed for these kinds of parts after a version, in a line; '' if nothing did."""
    found = [CHANGES[later].get(kind) for later in range(version + 1, HOOKS + 1) for kind in ("", *kinds)]
    return "; ".join(dict.fromkeys(filter(None, found)))


def since(version: int | None, kinds: Iterable[str]) -> str:
    """Return the end of an error message: what changed for these kinds of parts after a version.

    '' if nothing did, or if the plugin states no version.
    """
    changed = changes(version, list(kinds)) if version else ""
    return f" (written for version {version} of the hooks; since then: {changed})" if changed else ""


def advice(source: str) -> str:
    """Return the end of the error message of a plugin that cannot be loaded, from the text of its file."""
    found = re.search(rf"^{NAME} *= *(\d+)", source, re.MULTILINE)
    version = int(found[1]) if found else None
    if version is not None and version > HOOKS:
        return f" ({too_new(version)})"
    defined = set(re.findall(r"^ *def (\w+)\(", source, re.MULTILINE))
    kinds = [kind for kind in KINDS if hook_of(kind) in defined]
    return since(version, [*kinds, "callback"] if defined.intersection(EVENTS) else kinds)
