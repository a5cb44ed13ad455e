"""Launch the jobs of a sweep on the cores of this machine: a launcher and a sweeper for Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

from microgpt_lab.commands.multirun import batches
from microgpt_lab.commands.multirun.rounds import make_plan, run_rounds
from microgpt_lab.options.composer import Composer
from microgpt_lab.options.config import LAUNCHERS
from microgpt_lab.sweeps.changes import with_changes
from microgpt_lab.sweeps.make import run_jobs
from microgpt_lab.sweeps.pool import available_cores
from microgpt_lab.sweeps.rounds import clear_rounds


class Cores(Launcher):
    """`hydra/launcher=cores`: runs `jobs` jobs at a time; 0 for one per core."""

    def __init__(self, jobs: int = 0):
        self.jobs = jobs

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.composer = Composer.of(hydra_context.config_loader, config)
        self.sweep = Path(config.hydra.sweep.dir)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        parallel = self.jobs or available_cores()
        losses = run_jobs(self.composer.compose, self.sweep, job_overrides, initial_job_idx, parallel)
        return [job_return(overrides, loss) for overrides, loss in zip(job_overrides, losses)]


class Grid(Sweeper):
    """`hydra/sweeper=grid`: every combination of the values, as in Hydra's basic sweeper, or in rounds.

    The basic sweeper composes every job before the first one starts, to check them. Here, the configuration
    that the jobs have in common is composed only once.
    """

    def __init__(
        self, params: dict[str, Any] | None = None, changes: list[str] | None = None, **of_rounds: Any
    ):
        self.params, self.changes = params or {}, changes or []  # `of_rounds` are read by `make_plan`

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.config, self.composer = config, Composer.of(hydra_context.config_loader, config)
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        assert self.config and self.launcher
        parser = OverridesParser.create(config_loader=self.composer.loader)
        params = [f"{key}={value}" for key, value in self.params.items()]
        (jobs,) = BasicSweeper.split_arguments(parser.parse_overrides([*params, *arguments]), None)
        jobs = with_changes(jobs, self.changes)
        self.composer.validate(jobs)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        clear_rounds(folder)
        if plan := make_plan(self.config, jobs):
            return run_rounds(plan, self.composer, folder, self.launch)
        return [self.launch(jobs, 0)]

    def launch(self, jobs: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Launch jobs and wait for them; `first` is the number of the first one in the sweep."""
        assert self.config and self.launcher
        if not isinstance(self.launcher, (Cores, BasicLauncher)):
            return batches.launch(self.launcher, self.config, jobs)
        return self.launcher.launch(jobs, initial_job_idx=first)


def job_return(overrides: Sequence[str], loss: float | None) -> JobReturn:
    """Return a job's result in Hydra's form."""
    result = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    result.return_value = loss
    return result


def register_plugins() -> None:
    """Register both classes with Hydra in this process, because they are in none of its plugin packages."""
    for plugin in (Cores, Grid):
        Plugins.instance().class_name_to_class[f"{LAUNCHERS}.{plugin.__name__}"] = plugin
