"""`python -m microgpt_lab [key=value …]`: train, once or (with -m) in a sweep. Hydra composes."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.commands import COMMANDS
from microgpt_lab.commands.multirun import batches, dry, prepare
from microgpt_lab.commands.multirun.launcher import offer
from microgpt_lab.errors import STORAGE_ERRNOS, StorageError, UserError
from microgpt_lab.options import config, mistakes
from microgpt_lab.options.compose import register
from microgpt_lab.registry.folders import CONF
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read_summary
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.folder import JobEntry, run_folders
from microgpt_lab.sweeps.job import Job
from microgpt_lab.sweeps.make import refuse, run_job

ended: dict[str, Any] = {}  # the summary of a single run


def explain(error: Exception) -> str:
    return mistakes.explain(error, COMMANDS)


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> float | None:
    """One run. Returns the held-out loss, which a sweeper may minimise; None if there is none."""
    if name := cfg.get("batch"):
        return batches.make_batch(name)
    hc = HydraConfig.get()
    folder, overrides = Path(hc.runtime.output_dir), list(hc.overrides.task)
    swept = hc.mode == RunMode.MULTIRUN
    try:
        values = config.plain(cfg)
        if swept:
            summary = run_job(Job(values, folder, overrides, entry=JobEntry(Path(hc.sweep.dir), values)))
        else:
            run = Run(values, folder, overrides)
            summary = execute(run)
            ended.update(summary, folder=str(run.folder))
    except (UserError, OmegaConfBaseException, KeyboardInterrupt) as error:
        if swept and isinstance(error, StorageError):
            raise
        if swept and not isinstance(error, KeyboardInterrupt):
            refuse(folder, overrides, explain(error))
            return None
        prepare.remove_absent()  # nothing half-made stays behind
        if isinstance(error, KeyboardInterrupt):
            raise
        ended.update(refused=error if isinstance(error, UserError) else UserError(explain(error)))
        return None  # raised, it would be announced by Hydra
    return summary.get("loss/val")


def main(arguments: list[str]) -> int:
    prepare.Prepare.dry = "--dry" in arguments
    arguments = [argument for argument in arguments if argument != "--dry"]
    prepare.Prepare.width, arguments = prepare.taken_out(arguments)
    if sweeps := {"-m", "--multirun"} & set(arguments):  # Hydra wants it first
        arguments = ["-m", *(argument for argument in arguments if argument not in sweeps)]
    mistakes.check_flags(arguments)
    mistakes.check_twice(arguments)
    config.check(arguments)
    register()
    offer()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and the message is made here
    sys.argv = ["microgpt_lab", *arguments]
    prepare.Prepare.sweep = None
    ended.clear()
    stopped = None
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        prepare.leave_nothing()
        raise UserError(explain(error)) from None
    except prepare.NoGrid as error:
        raise UserError(str(error)) from None
    except prepare.Planned as planned:
        return dry.show(planned.folder, planned.jobs)
    except KeyboardInterrupt:
        if prepare.Prepare.sweep:
            conclude(prepare.Prepare.sweep, "interrupted")
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
            raise
        if isinstance(error, OSError) and error.filename:
            raise UserError(f"{error.filename}: {error.strerror}") from None
        if not prepare.Prepare.sweep:
            raise
        stopped = why(error)
    if prepare.Prepare.sweep and not stopped and not any(run_folders(prepare.Prepare.sweep)):
        prepare.leave_nothing()
        raise UserError("the sweep has no jobs: of its values, one names nothing")
    if prepare.Prepare.sweep:
        return conclude(prepare.Prepare.sweep, stopped)
    if error := ended.get("refused"):
        raise error
    return exit_status(ended)


def why(error: Exception) -> str:
    """What ended a sweep from without."""
    if "object_store_memory" in str(error):
        return "a Ray cluster is at work here: hydra/launcher=ray_cluster"
    return f"the launcher stopped: {type(error).__name__}: {error}".partition("\n")[0]


def exit_status(summary: dict[str, Any]) -> int:
    """Of a run; 130 after Ctrl-C and 143 after SIGTERM, as shells have it."""
    status = summary.get("status")  # there is none when Hydra was asked something else
    if status == "interrupted":
        print(
            f"interrupted; to go on: python -m microgpt_lab resume {shlex.quote(summary['folder'])}",
            file=sys.stderr,
        )
        return 143 if summary["signal"] == "SIGTERM" else 130
    return 1 if status == "diverged" else 0


def conclude(sweep: Path, stopped: str | None) -> int:
    """What has become of the jobs in a sweep's folder; the exit status."""
    counts = Counter(read_summary(folder)["status"] for folder in run_folders(sweep))
    said = [f"{number} {status}" for status, number in sorted(counts.items())]
    print(f"{', '.join(said) or 'no run'} in {os.path.relpath(sweep)}")
    if stopped and counts and not counts["ok"] and stopped.startswith("the launcher stopped: ValueError"):
        stopped = None  # a search that has no best
        print("no job has a result", file=sys.stderr)
    if stopped:
        print(f"{stopped}; what is missing: the same command with hydra.sweep.dir={sweep}", file=sys.stderr)
    if counts["refused"]:
        return 2
    return 1 if stopped or set(counts) != {"ok"} else 0
