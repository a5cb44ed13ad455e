"""`--dry`: show what a command would run and how long it would take, without writing anything."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import Any

from microgpt_lab.core.pacing import next_observation
from microgpt_lab.errors import UserError
from microgpt_lab.options.compose import compose
from microgpt_lab.options.config import converted_config
from microgpt_lab.options.overrides import key_of, parse_value
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.match import matched
from microgpt_lab.sweeps.folder import JobEntry
from microgpt_lab.terminal import format_duration


def show(sweep: Path, jobs: list[list[str]], budget: str = "") -> int:
    """Print a line per job, then the total time. Jobs that differ only in their seed or rates are timed once.

    budget: what a sweep in rounds runs; its later rounds are listed with the first value of tuned keys.
    """
    if not jobs:
        raise UserError("--dry cannot list the jobs of a sweeper that chooses each job after earlier results")
    if budget:
        print(budget)
    times: dict[str, float] = {}
    total, finished, refused = 0.0, 0, 0
    composed = functools.cache(lambda overrides: matched(compose([*overrides]), overrides))  # takes 0.1 s
    for overrides in jobs:
        name = ",".join(overrides) or "default"
        try:
            of_seed = [override for override in overrides if key_of(override) == "seed"]
            config = composed(tuple(override for override in overrides if override not in of_seed))
            if of_seed:
                config = converted_config(config | {"seed": parse_value(of_seed[0].partition("=")[2])})
            if JobEntry(sweep, config).result():
                finished += 1
                print(f"{name}  already finished")
                continue
            rates = {kind: config[kind]["name"] for kind in ("optimizer", "scheduler")}
            key = json.dumps(config | rates | {"seed": None}, sort_keys=True)
            if key not in times:
                times[key] = estimate(config)
        except FloatingPointError:
            times[key] = 0.0  # the job diverges at once
        except UserError as error:
            refused += 1
            print(f"{name}  would be refused: {error}")
            continue
        total += times[key]
        print(f"{name}  {format_duration(times[key])}")
    to_run = len(jobs) - finished - refused
    print(
        f"{to_run} to run, {finished} already finished, {refused} refused: "
        f"about {format_duration(total)} one after the other"
    )
    return 2 if refused else 0


def estimate(config: dict[str, Any], trial: float = 0.5) -> float:
    """Estimate the time of a run in seconds, from `trial` seconds of steps and part of an evaluation."""
    trainer = assemble(config, load_documents(config))
    if not trainer.steps:
        return 0.0
    trainer.advance()  # compile
    started, first = time.perf_counter(), trainer.step
    while trainer.step < trainer.steps and time.perf_counter() - started < trial:
        trainer.advance(next_observation(trainer) - trainer.step)
    steps = trainer.step - first
    seconds = (time.perf_counter() - started) / steps * trainer.steps if steps else 0.0
    if trainer.held_out:
        documents = trainer.held_out[:64]
        trainer.evaluate(documents[:1])  # compile
        started = time.perf_counter()
        trainer.evaluate(documents)
        evaluation = (time.perf_counter() - started) / len(documents) * len(trainer.held_out)
        seconds += evaluation * (1 + (trainer.steps // trainer.eval_every if trainer.eval_every else 0))
    return seconds
