"""The checks of a part: what every part of its kind must do, by name."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from microgpt_lab.checks.alone import ALONE
from microgpt_lab.checks.attentions import assert_nothing_ignored
from microgpt_lab.checks.backends import BACKEND
from microgpt_lab.checks.callbacks import CALLBACK
from microgpt_lab.checks.cases import Case, Cases, Untried
from microgpt_lab.checks.data import DATASET
from microgpt_lab.checks.invariants import INVARIANTS, assert_alive
from microgpt_lab.checks.optimizers import OPTIMIZER, SCHEDULER
from microgpt_lab.checks.options import check_options
from microgpt_lab.checks.samplers import SAMPLER
from microgpt_lab.checks.targets import plugins_in
from microgpt_lab.checks.tokenizers import TOKENIZER
from microgpt_lab.checks.training import FEW, LONG, SHORT, assert_same_losses
from microgpt_lab.errors import UserError
from microgpt_lab.registry.extras import install
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import collect, registry

REFERENCE, IN_EVERY_CHECK = "python", "numpy"
SAME = "same losses on "  # begins the name of a check that trains on a backend
# By kind and name, what holds for a part alone. Each function gets the part, built.
OWN: dict[str, dict[str, Callable[[Any], None]]] = ALONE | {
    "optimizer": OPTIMIZER,
    "scheduler": SCHEDULER,
    "dataset": DATASET,
    "tokenizer": TOKENIZER,
    "sampler": SAMPLER,
    "backend": BACKEND,
    "callback": {},
    **{kind: {} for kind in ("attention", "mlp", "block")},
}


@dataclass(frozen=True)
class Check:
    """What must hold for a part, such as 'causal'.

    If it does not hold, `run` raises AssertionError, with the reason and the smallest input that shows it.
    It raises Untried if that cannot be found out here.
    """

    part: Part
    name: str
    run: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.part.kind}={self.part.name}: {self.name}"


def parts_of(module: Any) -> list[Part]:
    """Return the parts that a plugin module defines; of a package without hooks, those of its modules."""
    return [part for plugin in plugins_in(module) for part in collect(plugin, plugin.__name__)]


def checks_of(part: Part) -> list[Check]:
    """Return what is checked of a part, in the order of `check`. They share what they build."""
    cases = Cases(part, [{}, *getattr(part.make, "check_variants", ())])
    functions = once_before(cases)
    for name, of_case in functions_of(part.kind).items():
        functions[name] = partial(cases.check_each, of_case)
    functions["options"] = partial(cases.check_first, assert_options)
    return [Check(part, name, run) for name, run in functions.items()]


def check(part: Part) -> None:
    """Check that a part does what its kind must do. AssertionError, with the reason, if it does not.

    It is tried with its defaults first. It trains on the python and the numpy backend; `checks_of` has checks
    for the other ones, too.
    """
    cases = Cases(part, [{}, *getattr(part.make, "check_variants", ())])
    check_cases(cases)
    cases.check_first(assert_options)


def check_variant(part: Part, **options: Any) -> None:
    """`check` a part with these options alone."""
    check_cases(Cases(part, [options], variants=False))


def check_cases(cases: Cases) -> None:
    """Make all checks in one case, then in the next, so that the first error is one of the fewest options."""
    for run in once_before(cases).values():
        run()
    functions = {
        name: of_case
        for name, of_case in functions_of(cases.part.kind).items()
        if not name.startswith(SAME) or name == SAME + IN_EVERY_CHECK
    }
    for case in cases.all:
        for of_case in functions.values():
            with contextlib.suppress(Untried):
                case.check(of_case)


def once_before(cases: Cases) -> dict[str, Callable[[], None]]:
    """Return what is checked once, before everything else, by name."""
    return {
        "name": partial(cases.check_first, assert_free_name),
        "docstring": partial(cases.check_first, assert_docstring),
        "builds": cases.check_building,
    }


def functions_of(kind: str) -> dict[str, list[Callable[[Case], None]]]:
    """Return what is checked in each case of a part of this kind, by name.

    A property such as 'gradients' may have several functions: of the part alone, and in a model.
    """
    functions = defaultdict(list)
    for name, own in OWN[kind].items():
        functions[name].append(lambda case, own=own: own(case.built))
    if kind in MODEL_KINDS and kind != "init":  # its weights are not used
        for name, invariant in INVARIANTS.items():
            functions[name].append(lambda case, invariant=invariant: invariant(case.model))
        functions["no dead weight"] = [assert_no_dead_weight]
    if kind == "attention":
        functions["nothing ignored"] = [assert_nothing_ignored]
    if kind == "callback":
        functions |= {name: [lambda case, f=f: f(case.part)] for name, f in CALLBACK.items()}
    for name in backends() if kind in (*MODEL_KINDS, "optimizer") else ():
        functions[SAME + name] = [partial(assert_same_on, name)]
    return functions


def assert_no_dead_weight(case: Case) -> None:
    """`assert_alive`, unless an option is 1: with 1 expert, say, a router has no effect."""
    if not any(type(value) is int and value == 1 for value in case.options.values()):
        assert_alive(case.model)


def assert_free_name(case: Case) -> None:
    """Check that the command line can name the part, and that none of the lab's has its name."""
    part, taken = case.part, registry().choices.get((case.part.kind, case.part.name))
    advice = "name the function or class differently, or give it an attribute `name`"
    assert part.name.isidentifier(), f"'{part.name}' is no word: {advice}"
    assert not taken or not taken.first_party or taken.make is part.make, (
        f"the lab itself has a part of this name: {advice}"
    )


def assert_docstring(case: Case) -> None:
    assert case.part.summary, "it has no docstring: its first line describes the part in --help"


def assert_options(case: Case) -> None:
    check_options(case.part)


def backends() -> list[str]:
    """Return the names of the lab's backends, without the reference; numpy first."""
    parts = (part for part in registry().parts.values() if part.kind == "backend" and part.first_party)
    names = {part.name for part in parts} - {REFERENCE}
    return sorted(names, key=lambda name: (name != IN_EVERY_CHECK, name))


def backend(name: str) -> Any:
    """Build a backend. Untried, with how to install it, if it cannot be used here."""
    part = registry().get("backend", name)
    try:
        if getattr(part.make, "available", lambda: True)():
            return part.build()
    except UserError as error:
        raise Untried(str(error).removeprefix(f"backend={name} is unavailable: ")) from None
    raise Untried(install(name))


def assert_same_on(name: str, case: Case) -> None:
    """Check that training on a backend gives the losses of the python backend.

    On numpy, this is tried in each case; on others, which compile, with what the part must accept.
    """
    fast = name == IN_EVERY_CHECK
    if fast or not case.may_refuse:
        using = backend(name)
        sizes = FEW if not fast else {} if case.part.kind == "optimizer" else SHORT if case.options else LONG
        assert_same_losses(using, **sizes, **{case.part.kind: case.built})
