"""What Hydra does before a run or a sweep: told how many jobs there are, or stopped for a dry run."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, flag_override

from microgpt_lab.commands.multirun import batches
from microgpt_lab.errors import UserError
from microgpt_lab.options.config import LAUNCHERS
from microgpt_lab.options.keys import experiments
from microgpt_lab.registry.plugins import registry
from microgpt_lab.sweeps.folder import count_ended, start_counter

# Jobs side by side take a core each. Who sets these variables is obeyed.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
MOST = 100_000  # jobs of a sweep
absent: list[Path] = []  # folders that a run or a sweep makes


class NoGrid(BaseException):
    """A sweep that would not begin, or not end; no Exception, for the same reason as `Planned`."""


class Planned(BaseException):
    """`--dry`: Hydra has composed, and shall not go on. No Exception: of those, callbacks only warn."""

    def __init__(self, folder: str, jobs: list[list[str]]):
        self.folder, self.jobs = Path(folder), jobs


class Prepare(Callback):
    """Before Hydra makes folders: note which are not there, and let jobs know how many they are."""

    dry = False
    width = 0  # jobs at a time; 0: as many as the launcher takes
    sweep: Path | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if self.dry:
            raise Planned(config.hydra.run.dir, [list(config.hydra.overrides.task)])
        if self.width:
            raise NoGrid(f"jobs={self.width} is for a sweep: add -m")
        warn()
        note(Path(config.hydra.run.dir).absolute())

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        searched = OmegaConf.select(config, "hydra.sweeper.n_trials")
        try:
            found = [] if searched else jobs(config)
        except ValueError as error:
            raise NoGrid(f"no sweep: {error}") from None
        except Exception:  # the sweeper itself says so
            found = []
        if self.dry:
            raise Planned(config.hydra.sweep.dir, found)
        warn()
        Prepare.sweep = locate(config)
        note(Prepare.sweep)
        there = count_ended(Prepare.sweep) if searched else 0
        start_counter(Prepare.sweep, there + searched if searched else len(found), there)
        self.limit(config)
        batches.width = self.width
        if searched:
            Prepare.sweep.mkdir(parents=True, exist_ok=True)  # for the study's storage

    def limit(self, config: DictConfig) -> None:
        """Tell the launcher how many jobs there may be at a time."""
        launcher = str(config.hydra.launcher._target_)
        if launcher.endswith(".BasicLauncher"):
            if self.width and self.width > 1:
                raise NoGrid(f"jobs={self.width}: hydra/launcher=basic makes one job after the other")
            return
        for name, value in ONE_THREAD.items():
            os.environ.setdefault(name, value)
        for key in ("n_jobs", "array_parallelism"):  # of joblib, and of submitit
            if self.width and key in config.hydra.launcher:
                with flag_override(config, ["struct", "readonly"], False):
                    config.hydra.launcher[key] = self.width
        if launcher == f"{LAUNCHERS}.Cores":
            with flag_override(config, ["struct", "readonly"], False):
                config.hydra.launcher.jobs = self.width or config.hydra.launcher.jobs
            for key in ("hydra.job.chdir", "hydra.output_subdir"):
                if OmegaConf.select(config, key):
                    raise NoGrid(f"{key} is for hydra/launcher=basic")


def taken_out(arguments: list[str]) -> tuple[int, list[str]]:
    """The number that `jobs=` gives, and the other arguments: it is no part of what a run is."""
    width = 0
    own = ("jobs=", "+jobs=")
    for argument in arguments:
        if argument.startswith((*own, "hydra.launcher.jobs=")):
            value = argument.partition("=")[2]
            if not value.isdecimal() or len(value) > 6:
                raise UserError(f"{argument}: write how many jobs at a time, such as jobs=2 (0: all cores)")
            width = int(value)
    return width, [argument for argument in arguments if not argument.startswith(own)]


def warn() -> None:
    """Of plugins that are left out or slow. Now, for who asks for one of them has the answer already."""
    for plugin, reason in registry().skipped.items():
        print(f"warning: plugin {plugin} is skipped: {reason}", file=sys.stderr)
    for plugin, seconds in registry().slow.items():
        print(f"warning: plugin {plugin} took {seconds:.1f}s to import", file=sys.stderr)


def note(folder: Path) -> None:
    absent[:] = [path for path in (folder, *folder.parents) if not path.exists()]


def locate(config: DictConfig) -> Path:
    """The sweep's folder; it and those of plugins are made absolute, for workers that start elsewhere."""
    sweep = Path(config.hydra.sweep.dir).absolute()
    with flag_override(config, ["struct", "readonly"], False):
        config.hydra.sweep.dir = str(sweep)
        quoted = str(sweep).replace("'", "\\'")
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")
    for name in ("MICROGPT_LAB_HOME", "MICROGPT_LAB_PLUGINS"):
        if folders := os.environ.get(name):
            parts = filter(None, folders.split(os.pathsep))
            os.environ[name] = os.pathsep.join(str(Path(part).expanduser().absolute()) for part in parts)
    return sweep


def number(override: Override) -> int:
    """How many values an override has, without listing them."""
    value = override.value()
    if isinstance(value, RangeSweep):
        low, high, step = value.start or 0, value.stop or 0, value.step
        if not step:
            raise ValueError(f"the step of {override.input_line} is 0")
        return max(0, math.ceil((high - low) / step))
    return len(choices(override))


def jobs(config: DictConfig) -> list[list[str]]:
    """The overrides of each job of a grid."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
    by_key = {override.get_key_element(): override for override in parsed}  # the last of a key counts
    if (many := math.prod(map(number, by_key.values()))) > MOST:
        raise NoGrid(f"a sweep of {many:,} jobs is refused; the most is {MOST:,}")
    return [list(job) for job in itertools.product(*map(choices, by_key.values()))]


def choices(override: Override) -> list[str]:
    """What a sweep makes of an override: `key=value` for each value."""
    value, key = override.value(), override.get_key_element()
    if isinstance(value, Glob):
        names = experiments() if key == "experiment" else registry().names(key)
        return [f"{key}={name}" for name in value.filter(list(names))]
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [override.input_line or ""]


def leave_nothing() -> None:
    """Take Hydra's folder away again, where a sweep was refused before its first job."""
    if (sweep := Prepare.sweep) and [path.name for path in sweep.glob("*")] == ["multirun.yaml"]:
        (sweep / "multirun.yaml").unlink()
        remove_absent()


def remove_absent() -> None:
    """Folders that were not there before, as far as they are empty."""
    for folder in absent:
        with contextlib.suppress(OSError):
            folder.rmdir()
