"""The checks of a part: what every part of its kind must do, by name."""

from __future__ import annotations

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
    return named_checks(part, Cases(part, [{}, *getattr(part.make, "check_variants", ())]))


def check_variant(part: Part, **options: Any) -> None:
    """`check` a part with these options alone."""
    for each in named_checks(part, Cases(part, [options], variants=False)):
        if in_every_check(each) and each.name != "options":
            each.run()


def check(part: Part) -> None:
    """Check that a part does what its kind must do. AssertionError, with the reason, if it does not.

    It trains on the python and the numpy backend. `checks_of` has a check for each other backend, too.
    """
    for each in filter(in_every_check, checks_of(part)):
        each.run()


def in_every_check(check: Check) -> bool:
    return not check.name.startswith(SAME) or check.name == SAME + IN_EVERY_CHECK


def named_checks(part: Part, cases: Cases) -> list[Check]:
    functions: dict[str, Callable[[], None]] = {
        "name": partial(cases.check_first, assert_free_name),
        "docstring": partial(cases.check_first, assert_docstring),
        "builds": cases.check_building,
    }
    for name, of_case in functions_of(part.kind).items():
        functions[name] = partial(cases.check_each, of_case)
    if part.kind in (*MODEL_KINDS, "optimizer"):
        for name in backends():
            functions[SAME + name] = partial(check_on_backend, cases, name)
    functions["options"] = partial(cases.check_first, lambda case: check_options(case.part))
    return [Check(part, name, run) for name, run in functions.items()]


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


def check_on_backend(cases: Cases, name: str) -> None:
    """Check that training gives the losses of the python backend.

    On numpy, it is tried in each case; on others, which compile, with the defaults and `check_variants`.
    """
    fast = name == IN_EVERY_CHECK
    tried = cases.all if fast else cases.required
    using = backend(name)
    for case in tried:
        with case.naming():
            sizes = (
                FEW if not fast else {} if case.part.kind == "optimizer" else SHORT if case.options else LONG
            )
            assert_same_losses(using, **sizes, **{case.part.kind: case.built})
