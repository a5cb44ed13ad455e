"""Prepare a run or a sweep before Hydra starts it: count the jobs, set up the launcher, or stop for --dry."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, flag_override

from microgpt_lab.commands.multirun import batches
from microgpt_lab.commands.multirun.rounds import make_plan
from microgpt_lab.errors import UserError
from microgpt_lab.options.composer import Composer
from microgpt_lab.options.config import LAUNCHERS
from microgpt_lab.options.keys import names_of
from microgpt_lab.registry.automatic import AUTO
from microgpt_lab.registry.plugins import registry
from microgpt_lab.sweeps.changes import check_distinct, with_changes
from microgpt_lab.sweeps.folder import JOBS_FOLDER, count_ended, start_counter

# Each job uses one core. Variables that the user has set are kept.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
MAX_JOBS = 100_000  # in a sweep
new_folders: list[Path] = []  # that the run or sweep creates, the innermost first


class SweepRefused(BaseException):
    """A run or sweep that cannot start. A BaseException, like `DryRun`."""


class DryRun(BaseException):
    """Stops Hydra after composing, for `--dry`.

    Not an Exception, because Hydra catches those of its callbacks and only warns.
    """

    def __init__(self, folder: str, jobs: list[list[str]], budget: str = ""):
        self.folder, self.jobs, self.budget = Path(folder), jobs, budget


class Prepare(Callback):
    """Runs before Hydra creates folders: remembers which are new, and tells jobs how many there are."""

    dry = False
    parallel = 0  # jobs at a time; 0: the launcher's default
    sweep: Path | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if self.dry:
            raise DryRun(config.hydra.run.dir, [list(config.hydra.overrides.task)])
        if self.parallel:
            raise SweepRefused(f"jobs={self.parallel} is for a sweep: add -m")
        for override in config.hydra.overrides.hydra:
            if override.startswith("hydra.sweeper."):
                raise SweepRefused(f"{override.removeprefix('hydra.sweeper.')} is for a sweep: add -m")
        warn_of_plugins()
        remember_new_folders(Path(config.hydra.run.dir).absolute())

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        trials = OmegaConf.select(config, "hydra.sweeper.n_trials")  # of a search
        try:
            grid = [] if trials else jobs(config)
        except ValueError as error:
            raise SweepRefused(f"no sweep: {error}") from None
        except UserError as error:
            raise SweepRefused(str(error)) from None
        except Exception:  # the sweeper reports it
            grid = []
        try:
            plan = None if trials else make_plan(config, grid)
        except UserError as error:
            raise SweepRefused(str(error)) from None
        if self.dry:
            raise DryRun(config.hydra.sweep.dir, plan.all_jobs if plan else grid, plan.budget if plan else "")
        warn_of_plugins()
        Prepare.sweep = make_absolute(config)
        remember_new_folders(Prepare.sweep)
        self.limit(config)
        existing = count_ended(Prepare.sweep) if trials else 0
        try:
            start_counter(Prepare.sweep, existing + trials if trials else len(grid), existing)
        except (NotADirectoryError, FileExistsError, PermissionError) as error:
            raise SweepRefused(f"hydra.sweep.dir={Prepare.sweep}: {error.strerror}") from None
        batches.parallel = self.parallel
        if trials:
            Prepare.sweep.mkdir(parents=True, exist_ok=True)  # for the storage of the study

    def limit(self, config: DictConfig) -> None:
        """Limit each job to a thread, and the jobs at a time."""
        launcher = str(config.hydra.launcher._target_)
        if launcher.endswith(".BasicLauncher"):
            if self.parallel and self.parallel > 1:
                raise SweepRefused(f"jobs={self.parallel}: hydra/launcher=basic runs one job after the other")
            return
        for name, value in ONE_THREAD.items():
            os.environ.setdefault(name, value)
        for key in ("n_jobs", "array_parallelism"):  # of joblib, and of submitit
            if self.parallel and key in config.hydra.launcher:
                with flag_override(config, ["struct", "readonly"], False):
                    config.hydra.launcher[key] = self.parallel
        if launcher == f"{LAUNCHERS}.Cores":
            with flag_override(config, ["struct", "readonly"], False):
                config.hydra.launcher.jobs = self.parallel or config.hydra.launcher.jobs
            for key in ("hydra.job.chdir", "hydra.output_subdir"):
                if OmegaConf.select(config, key):
                    raise SweepRefused(f"{key} works only with hydra/launcher=basic")


def take_jobs(arguments: list[str]) -> tuple[int, list[str]]:
    """Return the number of `jobs=`, and the other arguments. The number is not part of a configuration."""
    parallel = 0
    spellings = ("jobs=", "+jobs=")
    for argument in arguments:
        if argument.startswith((*spellings, "hydra.launcher.jobs=")):
            value = argument.partition("=")[2]
            if not value.isdecimal() or len(value) > 6:
                raise UserError(
                    f"{argument}: write the number of jobs at a time, such as jobs=2 (0: one per core)"
                )
            parallel = int(value)
    return parallel, [argument for argument in arguments if not argument.startswith(spellings)]


def warn_of_plugins() -> None:
    """Warn of plugins that are skipped or slow.

    Not earlier, because an error about a part of such a plugin explains the same.
    """
    for plugin, reason in registry().skipped.items():
        print(f"warning: plugin {plugin} is skipped: {reason}", file=sys.stderr)
    for plugin, seconds in registry().slow.items():
        print(f"warning: plugin {plugin} took {seconds:.1f} s to import", file=sys.stderr)


def remember_new_folders(folder: Path) -> None:
    """Remember which of this folder and its parents do not exist yet, for `remove_new_folders`."""
    new_folders[:] = [path for path in (folder, *folder.parents) if not path.exists()]


def make_absolute(config: DictConfig) -> Path:
    """Return the folder of the sweep. It and plugin folders become absolute, for workers in other folders."""
    sweep = Path(config.hydra.sweep.dir).absolute()
    with flag_override(config, ["struct", "readonly"], False):
        config.hydra.sweep.dir = str(sweep)
        quoted = str(sweep).replace("'", "\\'")
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")
    for name in ("MICROGPT_LAB_HOME", "MICROGPT_LAB_PLUGINS"):
        if folders := os.environ.get(name):
            paths = filter(None, folders.split(os.pathsep))
            os.environ[name] = os.pathsep.join(str(Path(path).expanduser().absolute()) for path in paths)
    return sweep


def count_values(override: Override) -> int:
    """Count the values of an override without listing them."""
    value = override.value()
    if isinstance(value, RangeSweep):
        low, high, step = value.start or 0, value.stop or 0, value.step
        if not step:
            raise ValueError(f"the step of {override.input_line} is 0")
        return max(0, math.ceil((high - low) / step))
    return len(choices(override))


def jobs(config: DictConfig) -> list[list[str]]:
    """List the overrides of each job of a grid."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
    by_key = {override.get_key_element(): override for override in parsed}  # the last one of a key counts
    if (number := math.prod(map(count_values, by_key.values()))) > MAX_JOBS:
        raise SweepRefused(f"a sweep of {number:,} jobs is too large; the limit is {MAX_JOBS:,}")
    grid = [list(job) for job in itertools.product(*map(choices, by_key.values()))]
    changes = config.hydra.sweeper.get("changes") or []
    changed = with_changes(grid, changes)
    if changes:
        check_distinct(changes, grid, Composer.of(GlobalHydra.instance().config_loader(), config))
    return changed


def choices(override: Override) -> list[str]:
    """List `key=value` for each value of an override."""
    value, key = override.value(), override.get_key_element()
    if isinstance(value, Glob):
        return [f"{key}={name}" for name in value.filter(names_of(key)) if name != AUTO.name]
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [override.input_line or ""]


def remove_refused_sweep() -> None:
    """Remove Hydra's folder of a sweep that was refused before its first job."""
    if (sweep := Prepare.sweep) and {path.name for path in sweep.glob("*")} <= {"multirun.yaml", JOBS_FOLDER}:
        (sweep / "multirun.yaml").unlink(missing_ok=True)
        shutil.rmtree(sweep / JOBS_FOLDER, ignore_errors=True)
        remove_new_folders()


def remove_new_folders() -> None:
    """Remove the folders that did not exist before, as far as they are empty."""
    for folder in new_folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
