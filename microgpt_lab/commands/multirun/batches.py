"""Batches of jobs for launchers that start a process or ask a cluster for each thing that they launch.

Ten thousand jobs are then some hundred batches. A batch is a job to the launcher, `+batch=NAME`; the
overrides of its jobs are in a file of that name beside the notes of the sweep.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from microgpt_lab.options import files
from microgpt_lab.options.composer import Composer
from microgpt_lab.sweeps.folder import JOBS_FOLDER
from microgpt_lab.sweeps.make import run_jobs
from microgpt_lab.sweeps.pool import available_cores

EACH = 4  # batches for each that is at work at a time, so that none waits long for the last
MANY = 64  # batches, where the launcher does not say how many it has at work
OLD = 7 * 24 * 3600  # seconds
width = 0  # how many shall be at work at a time, if that was asked


def launch(launcher: Launcher, config: DictConfig, jobs: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
    """Launch the jobs in batches, and wait for them."""
    folder = Path(config.hydra.sweep.dir, JOBS_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("batch-*.json"):  # of a sweep that was stopped; a queue may have its tasks still
        if time.time() - old.stat().st_mtime > OLD:
            old.unlink(missing_ok=True)
    size, token = -(-len(jobs) // max(1, number(config))), secrets.token_hex(4)
    files = []
    for first in range(0, len(jobs), max(1, size)):
        files.append(folder / f"batch-{token}-{first}.json")
        content = {"first": first, "jobs": [list(job) for job in jobs[first : first + size]]}
        files[-1].write_text(json.dumps(content), encoding="utf-8")
    returns = launcher.launch([[f"+batch={file.stem}"] for file in files], initial_job_idx=0)
    for file in files:
        file.unlink(missing_ok=True)
    return returns


def number(config: DictConfig) -> int:
    """How many batches."""
    of: Any = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    if "array_parallelism" in of:  # of submitit; a batch that waits in its queue costs nothing
        return of["array_parallelism"]
    if "n_jobs" in of:  # of joblib, where -1 is all cores
        return EACH * (of["n_jobs"] if of["n_jobs"] > 0 else available_cores())
    return width or MANY


def make_batch(name: str) -> None:
    """Make the jobs of a batch one after the other, in whatever process it was launched."""
    hydra = HydraConfig.get()
    with contextlib.suppress(OSError):
        Path(hydra.runtime.output_dir).rmdir()  # Hydra makes a folder for it
    sweep, loader = Path(hydra.sweep.dir), GlobalHydra.instance().config_loader()
    content = json.loads(files.read_text(sweep / JOBS_FOLDER / f"{name}.json"))
    master: Any = HydraConfig.instance().cfg
    run_jobs(Composer(loader, master).compose, sweep, content["jobs"], content["first"], owns_terminal=False)
