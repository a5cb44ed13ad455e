"""Check that a part refuses option values that its formula does not allow."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.config import complete, run_options
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run

NUMBERS = (-1, 0, 1, 2, 10**9, math.nan)
SMALL: dict[str, Any] = {"embed": 2, "heads": 1, "block_size": 16, "train_docs": 20, "samples": 1, "steps": 3}
SMALL |= {"eval_docs": 2, "eval_every": 1, "dataset": {"name": "reverse", "documents": 50}}
PARTS = {"activation": "relu", "norm": "rmsnorm", "optimizer": "adam", "scheduler": "linear"}
PARTS |= {"dataset": "reverse", "backend": "python"}
STOP = {"name": "early_stopping", "patience": 1, "min_delta": 1e6}  # after the second evaluation


def check_options(part: Part, **others: Any) -> None:
    """AssertionError unless a short run takes the part with its defaults (and these other options), and
    passes `check_run` with each numeric option at -1, 0, 1, 2, 1e9 and NaN.
    """
    numeric = [name for name, option in part.options.items() if option.type in (int, float)]
    sizes = {}
    if hasattr(part.make, "answer_after"):  # a task is to fit into the block
        sizes["block_size"] = max(map(len, part.build(**others)())) + 1

    def chosen(**options: Any) -> dict[str, Any]:
        values = {"name": part.name} | others | options
        return sizes | {part.kind: {part.name: values} if part.kind == "callback" else values}

    with installed(part):
        if numeric:
            assert check_run(**chosen()), f"{part.kind}={part.name} is refused with its defaults"
        for name in numeric:
            for value in NUMBERS:
                check_run(**chosen(**{name: value}))


@contextlib.contextmanager
def installed(part: Part) -> Iterator[None]:
    """As if its plugin were, in place of a part that has the same name."""
    parts, key = registry().parts, (part.kind, part.name)
    before = parts.get(key)
    parts[key] = part
    try:
        yield
    finally:
        parts.pop(key)
        if before:
            parts[key] = before


def check_run(**chosen: Any) -> bool:
    """AssertionError unless a short run with these values has finite figures, or is called diverged, or is
    refused in one line with nothing on disk; then it is False.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "run")
        try:
            summary = short_run(folder, **chosen)
        except UserError as error:
            assert len(str(error).splitlines()) == 1, f"{chosen} is refused in several lines: {error}"
            assert not folder.exists(), f"{chosen} is refused, and leaves a folder behind"
            return False
        except Exception as error:
            raise AssertionError(f"{chosen} ends in {type(error).__name__}: {error}") from error
        assert summary["status"] in ("ok", "diverged"), f"{chosen} is {summary['status']}"
        assert all(math.isfinite(x) for x in summary.values() if isinstance(x, float)), f"{chosen}: {summary}"
        log = (folder / "log.txt").read_text(encoding="utf-8")
        assert "and is disabled" not in log, f"{chosen}: {log}"
    return True


def short_run(folder: Path, **chosen: Any) -> dict[str, Any]:
    """The summary of a run of a few steps of a tiny model; parts are chosen as {"name": …, option: value}."""

    def whole(kind: str, values: dict[str, Any]) -> dict[str, Any]:
        options = registry().get(kind, values["name"]).options
        return {name: option.default for name, option in options.items()} | values

    config = {name: option.default for name, option in run_options().items()} | SMALL | chosen
    config |= {kind: whole(kind, config.get(kind, {"name": name})) for kind, name in PARTS.items()}
    callbacks = {"early_stopping": STOP} | chosen.get("callback", {})
    config["callback"] = {name: whole("callback", values) for name, values in callbacks.items()}
    return execute(Run(complete(config), folder))
