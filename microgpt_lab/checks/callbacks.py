"""Check a callback in short runs: it is called, works, changes no number, and its state can be restored."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microgpt_lab.checks.cases import Untried
from microgpt_lab.checks.options import installed, short_run
from microgpt_lab.errors import UserError
from microgpt_lab.registry.hookspecs import EVENTS
from microgpt_lab.registry.parts import Part

# Records each step; and replaces the callback that stops the runs of `check_run`.
OTHERS = {"jsonl": {"name": "jsonl"}, "early_stopping": {"name": "early_stopping", "patience": 1000}}
STEPS = 4


def assert_listens(part: Part) -> None:
    """Check that at least one method has the name of a hook."""
    callback = part.build()
    assert any(hasattr(callback, event) for event in EVENTS), (
        f"the callback has no method that is called during a run: define one of {', '.join(EVENTS)}"
    )


def assert_works(part: Part) -> None:
    """Check that none of its methods raises in a run of four steps."""
    log, _, _ = watched(part)
    for line in log.splitlines():
        _, disabled, failure = line.partition(f"callback {part.name} failed in ")
        assert not disabled, f"fails in a run of {STEPS} steps: in {failure}"


def assert_changes_nothing(part: Part) -> None:
    """Check that training has the same losses, and samples, with and without it. It may stop a run."""
    (_, steps, summary), (_, expected, plain) = watched(part), watched(None)
    for step, (loss, without) in enumerate(zip(steps, expected), start=1):
        assert loss == without, (
            f"changes numbers: the loss of step {step} is {loss} with it and {without} without: draw from "
            "a generator of your own, and change no weights"
        )
    if len(steps) == len(expected):
        for name in ("loss/val", "samples"):
            assert summary[name] == plain[name], (
                f"changes numbers: {name} at the end is {summary[name]} with it and {plain[name]} without"
            )


def assert_restores(part: Part) -> None:
    """Check that its state, if it has one, consists of JSON's types, and that a new instance takes it."""
    if not hasattr(part.make, "state_dict"):
        return
    with tempfile.TemporaryDirectory() as folder:
        after, fresh = (instance(part, Path(folder, str(steps)), steps) for steps in (STEPS, 0))
        state, before = after.state_dict(), as_json(fresh.state_dict())
        saved = as_json(state)
        assert hasattr(fresh, "load_state_dict"), "it has state_dict, but no load_state_dict(state)"
        fresh.load_state_dict(json.loads(saved))
        restored = as_json(fresh.state_dict())
        assert saved == before or restored != before, (
            f"load_state_dict has no effect: the state is {restored:.80} before and after, "
            f"but {saved:.80} was loaded"
        )


def as_json(state: Any) -> str:
    try:
        return json.dumps(state, sort_keys=True)
    except TypeError as error:
        raise AssertionError(f"state_dict must return what JSON has: {error}") from error


def instance(part: Part, folder: Path, steps: int) -> Any:
    """Return the callback of a finished run."""
    built = []

    class Kept(part.make):  # pyright: ignore[reportGeneralTypeIssues]
        @functools.wraps(part.make.__init__)
        def __init__(self, **options):
            super().__init__(**options)
            built.append(self)

    functools.update_wrapper(Kept, part.make, updated=())
    run(Part(part.kind, part.name, Kept, part.provider), folder, steps)
    return built[-1]


def watched(part: Part | None) -> tuple[str, list[float], dict[str, Any]]:
    """Return the log, the losses and the summary of a short run, with a callback or without."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "run")
        summary = run(part, folder)
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        log = (folder / "log.txt").read_text(encoding="utf-8")
    return log, [json.loads(line)["loss/train"] for line in lines], summary


def run(part: Part | None, folder: Path, steps: int = STEPS) -> dict[str, Any]:
    """Train a tiny model with a callback. Untried if that refuses the run: it may need another callback."""
    if part is None:
        return short_run(folder, steps=steps, callback=OTHERS)
    with installed(part):
        try:
            return short_run(folder, steps=steps, callback=OTHERS | {part.name: {"name": part.name}})
        except UserError as error:
            raise Untried(f"it refuses a run with its defaults: {error}") from None


CALLBACK: dict[str, Callable[[Part], None]] = {
    "listens": assert_listens,
    "works": assert_works,
    "changes no number": assert_changes_nothing,
    "state": assert_restores,
}
