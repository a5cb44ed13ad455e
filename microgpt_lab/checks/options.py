"""Check that each value of an option gives a run with finite results, or is refused in one line."""

from __future__ import annotations

import contextlib
import math
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.config import converted_config
from microgpt_lab.options.keys import defaults, run_options
from microgpt_lab.registry.hookspecs import KINDS, MODEL_KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run
from microgpt_lab.run.signals import Terminated

SECONDS = 5  # of CPU time, which a short run may take
NUMBERS = (-1, 0, 1, 2, 10**9, math.nan)
SMALL: dict[str, Any] = {"embed": 2, "heads": 1, "block_size": 16, "train_docs": 20, "samples": 1, "steps": 3}
SMALL |= {"eval_docs": 2, "eval_every": 1, "dataset": {"name": "reverse", "documents": 50}}
PARTS = {kind: names[0] for kind, names in defaults().items() if kind in KINDS and kind != "callback"}
PARTS |= {"dataset": "reverse", "backend": "python"}
STOP = {"name": "early_stopping", "patience": 1, "min_delta": 1e6}  # stops at the second evaluation


def check_options(part: Part, **others: Any) -> None:
    """Check short runs of a part that has numeric options: with its defaults, and with other values.

    The values are -1, 0, 1, 2, 1e9 and NaN. `others` are values of options that all runs have.
    AssertionError if the defaults are refused, or if a run does not pass `check_run`.
    """
    numeric = [name for name, option in part.options.items() if option.type in (int, float)]
    needs = getattr(part.make, "check_model", {})
    sizes = {key: {"name": x} if key in MODEL_KINDS else x for key, x in needs.items()}
    if hasattr(part.make, "answer_after"):  # a task must fit into the block
        sizes["block_size"] = max(map(len, part.build(**others)())) + 1

    def chosen(**options: Any) -> dict[str, Any]:
        values = {"name": part.name} | others | options
        return sizes | {part.kind: {part.name: values} if part.kind == "callback" else values}

    with installed(part):
        if numeric:
            assert check_run(**chosen()), "it is refused with its default options"
        for name in numeric:
            for value in NUMBERS:
                check_run(**chosen(**{name: value}))


class TookTooLong(BaseException):
    """A run takes too long: with a data set of 1e9 documents, say. It is no error that a part may catch."""


@contextlib.contextmanager
def installed(part: Part) -> Iterator[None]:
    """Add a part to the registry for a while, in place of a part of the same name."""
    parts, key = registry().parts, (part.kind, part.name)
    replaced = parts.get(key)
    parts[key] = part
    try:
        yield
    finally:
        parts.pop(key)
        if replaced:
            parts[key] = replaced


def check_run(**chosen: Any) -> bool:
    """Check a short run with these values. Return False if it is refused.

    AssertionError unless the run ends with finite results, is reported as diverged, or is refused in one line
    before it writes anything.
    """
    what = in_words(chosen)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "run")
        try:
            with limited():
                summary = short_run(folder, **chosen)
        except TookTooLong:
            raise AssertionError(
                f"{what}: a run of {SMALL['steps']} steps of a tiny model takes more than {SECONDS} s. "
                "Refuse such values with microgpt_lab.between"
            ) from None
        except UserError as error:
            assert len(str(error).splitlines()) == 1, f"{what}: the error must be one line, not: {error}"
            assert not folder.exists(), f"{what}: the run was refused after it had written a folder"
            return False
        except Exception as error:
            message = f"{what}: the run raised {type(error).__name__}: {error}"
            raise AssertionError(
                f"{message}. Refuse such values with microgpt_lab.at_least or between"
            ) from error
        status, numbers = summary["status"], {k: x for k, x in summary.items() if isinstance(x, float)}
        assert status in ("ok", "diverged"), f"{what}: the run ended with status {status}"
        assert all(map(math.isfinite, numbers.values())), f"{what}: a result is not finite: {numbers}"
        log = (folder / "log.txt").read_text(encoding="utf-8")
        assert "and is disabled" not in log, f"{what}: a callback raised an error: {log}"
    return True


def in_words(chosen: dict[str, Any]) -> str:
    """Write the options of a run as on the command line; 'its defaults' if there are none."""
    words = []
    for key, value in chosen.items():
        named = {} if not isinstance(value, dict) else value if key == "callback" else {"": value}
        for name, options in named.items():
            prefix = f"{key}.{name}." if name else f"{key}."
            words += [f"{prefix}{option}={x}" for option, x in options.items() if option != "name"]
        words += [] if named else [f"{key}={value}"]
    return " ".join(words) or "its defaults"


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise TookTooLong after some seconds of CPU time, where the system and the thread allow it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, raise_too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def raise_too_long(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


def short_run(folder: Path, **chosen: Any) -> dict[str, Any]:
    """Train a tiny model for a few steps and return the summary.

    chosen: keys and their values. A part is given as {"name": …, option: value}.
    """

    def with_defaults(kind: str, values: dict[str, Any]) -> dict[str, Any]:
        options = registry().get(kind, values["name"]).options
        return {name: option.default for name, option in options.items()} | values

    config = {name: option.default for name, option in run_options().items()} | SMALL | chosen
    config |= {kind: with_defaults(kind, config.get(kind, {"name": name})) for kind, name in PARTS.items()}
    callbacks = {"early_stopping": STOP} | chosen.get("callback", {})
    config["callback"] = {name: with_defaults("callback", values) for name, values in callbacks.items()}
    summary = execute(Run(converted_config(config), folder))
    if signal := summary.get("signal"):  # a run that is interrupted ends by itself, the check must, too
        raise Terminated if signal == "SIGTERM" else KeyboardInterrupt
    return summary
