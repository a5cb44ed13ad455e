"""`python -m microgpt_lab [key=value …]`: train once, or with -m in a sweep, as Hydra composes it."""

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
from microgpt_lab.commands.multirun import batches, dry, mode, prepare
from microgpt_lab.commands.multirun.launcher import register_plugins
from microgpt_lab.errors import STORAGE_ERRNOS, StorageError, UserError
from microgpt_lab.options import config, mistakes
from microgpt_lab.options.compose import register, written_out
from microgpt_lab.registry.folders import CONF
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read_summary
from microgpt_lab.run.match import matched
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.folder import JobEntry, run_folders
from microgpt_lab.sweeps.job import Job
from microgpt_lab.sweeps.make import refuse, run_job

outcome: dict[str, Any] = {}  # of a single run: its summary and folder, or why it was refused


def explain(error: Exception) -> str:
    """Explain an error of Hydra or OmegaConf in one line."""
    return mistakes.explain(error, COMMANDS)


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> float | None:
    """Execute a run or a batch of jobs. Return the objective of a run; None if it has none."""
    if name := cfg.get("batch"):
        return batches.run_batch(name)
    hc = HydraConfig.get()
    folder, overrides = Path(hc.runtime.output_dir), list(hc.overrides.task)
    swept = hc.mode == RunMode.MULTIRUN
    try:
        values = matched(config.plain(cfg), overrides)
        if swept:
            run = Job(values, folder, overrides, entry=JobEntry(Path(hc.sweep.dir), values))
            summary = run_job(run)
        else:
            run = Run(values, folder, overrides)
            summary = execute(run)
            outcome.update(summary, folder=str(run.folder))
    except (UserError, OmegaConfBaseException, KeyboardInterrupt) as error:
        if swept and isinstance(error, StorageError):
            raise
        if swept and not isinstance(error, KeyboardInterrupt):
            refuse(folder, overrides, explain(error))
            return None
        prepare.remove_new_folders()
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome.update(refused=error if isinstance(error, UserError) else UserError(explain(error)))
        return None  # `main` raises the error, because Hydra would print a message of its own
    return summary.get(run.objective)


def main(arguments: list[str]) -> int:
    prepare.Prepare.dry = "--dry" in arguments
    arguments = [argument for argument in arguments if argument != "--dry"]
    prepare.Prepare.parallel, arguments = prepare.take_jobs(arguments)
    if flags := {"-m", "--multirun"} & set(arguments):  # Hydra needs it first
        arguments = ["-m", *(argument for argument in arguments if argument not in flags)]
    arguments = written_out(arguments)
    register()
    register_plugins()
    mode.compose_once()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise its errors instead of printing them
    sys.argv = ["microgpt_lab", *arguments]
    prepare.Prepare.sweep = None
    outcome.clear()
    stopped = None
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        prepare.remove_refused_sweep()
        raise UserError(explain(error)) from None
    except prepare.SweepRefused as error:
        raise UserError(str(error)) from None
    except prepare.DryRun as run:
        return dry.show(run.folder, run.jobs, run.budget)
    except KeyboardInterrupt:
        if prepare.Prepare.sweep:
            print_statuses(prepare.Prepare.sweep, "interrupted")
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
            raise
        if isinstance(error, OSError) and error.filename:
            raise UserError(f"{error.filename}: {error.strerror}") from None
        if not prepare.Prepare.sweep:
            raise
        stopped = launcher_error(error)
    if prepare.Prepare.sweep and not stopped and not any(run_folders(prepare.Prepare.sweep)):
        prepare.remove_refused_sweep()
        raise UserError("the sweep has no jobs: one of its keys has no values")
    if prepare.Prepare.sweep:
        return print_statuses(prepare.Prepare.sweep, stopped)
    if error := outcome.get("refused"):
        raise error
    return exit_status(outcome)


def launcher_error(error: Exception) -> str:
    """Say why the launcher of a sweep stopped."""
    if "object_store_memory" in str(error):
        return "a Ray cluster is running on this machine: use hydra/launcher=ray_cluster"
    return f"the launcher stopped: {type(error).__name__}: {error}".partition("\n")[0]


def exit_status(summary: dict[str, Any]) -> int:
    """Return the exit status of a run; after Ctrl-C 130 and after SIGTERM 143, as in shells."""
    status = summary.get("status")  # missing after --cfg and --info, which start no run
    if status == "interrupted":
        print(
            f"interrupted; to continue: python -m microgpt_lab resume {shlex.quote(summary['folder'])}",
            file=sys.stderr,
        )
        return 143 if summary["signal"] == "SIGTERM" else 130
    return 1 if status == "diverged" else 0


def print_statuses(sweep: Path, stopped: str | None) -> int:
    """Print how many jobs of a sweep have each status, and return the exit status.

    stopped: why the sweep has stopped early, if it has.
    """
    counts = Counter(read_summary(folder)["status"] for folder in run_folders(sweep))
    listed = [f"{number} {status}" for status, number in sorted(counts.items())]
    print(f"{', '.join(listed) or 'no run'} in {os.path.relpath(sweep)}")
    if stopped and counts and not counts["ok"] and stopped.startswith("the launcher stopped: ValueError"):
        stopped = None  # Optuna raises it after a search in which no trial has a result
        print("no job has a result", file=sys.stderr)
    if stopped:
        print(
            f"{stopped}; to run the missing jobs, add hydra.sweep.dir={sweep} to the command",
            file=sys.stderr,
        )
    if counts["refused"]:
        return 2
    return 1 if stopped or set(counts) != {"ok"} else 0
