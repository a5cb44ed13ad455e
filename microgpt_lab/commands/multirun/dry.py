"""`--dry`: what a command would run, and how long that would take, without a trace on disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.sweeps.folder import Place, clock


def show(sweep: Path, jobs: list[list[str]]) -> int:
    """A line a job, then the sum. Jobs that differ by their seed are timed once."""
    if not jobs:
        raise UserError("a sweeper that chooses as it goes has no list of jobs for --dry")
    times: dict[str, float] = {}
    total, there, refused = 0.0, 0, 0
    for overrides in jobs:
        name = ",".join(overrides) or "default"
        try:
            config = compose(overrides)
            if Place(sweep, config).result():
                there += 1
                print(f"{name}  is there already")
                continue
            key = json.dumps(config | {"seed": None}, sort_keys=True)
            if key not in times:
                times[key] = seconds(config)
        except FloatingPointError:
            times[key] = 0.0  # it ends at once
        except UserError as error:
            refused += 1
            print(f"{name}  would be refused: {error}")
            continue
        total += times[key]
        print(f"{name}  {clock(times[key])}")
    rest = len(jobs) - there - refused
    print(
        f"{rest} to run, {there} there already, {refused} refused: about {clock(total)} one after the other"
    )
    return 2 if refused else 0


def seconds(config: dict[str, Any], trial: float = 0.5) -> float:
    """The time that a run takes, from that of some of its steps and of a part of an evaluation."""
    trainer = assemble(config, load_documents(config))
    together = min(trainer.backend.fused, trainer.steps)
    if not together:
        return 0.0
    trainer.advance(together)  # compile
    begun, first = time.perf_counter(), trainer.step
    while trainer.step < trainer.steps and time.perf_counter() - begun < trial:
        trainer.advance(min(together, trainer.steps - trainer.step))
    steps = trainer.step - first
    cost = (time.perf_counter() - begun) / steps * trainer.steps if steps else 0.0
    if trainer.held_out:
        some = trainer.held_out[:64]
        begun = time.perf_counter()
        trainer.evaluate(some)
        once = (time.perf_counter() - begun) / len(some) * len(trainer.held_out)
        cost += once * (1 + (trainer.steps // trainer.eval_every if trainer.eval_every else 0))
    return cost
