"""Launch jobs in batches, for launchers that start a process or a cluster task per job.

Ten thousand jobs then need only a few hundred batches. For the launcher, a batch is one job with the
override `+batch=NAME`. A file of that name in the sweep's folder contains the overrides of its jobs.
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

BATCHES_PER_PROCESS = 4  # more than 1, so that no process waits long for the slowest
DEFAULT_BATCHES = 64  # for launchers that do not say how many jobs run at a time
OLD = 7 * 24 * 3600  # seconds
parallel = 0  # the `jobs=` of the command line: how many batches run at a time; 0: not given


def launch(launcher: Launcher, config: DictConfig, jobs: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
    """Launch the jobs in batches and wait for them."""
    folder = Path(config.hydra.sweep.dir, JOBS_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("batch-*.json"):  # of a stopped sweep; newer ones may still be in a queue
        if time.time() - old.stat().st_mtime > OLD:
            old.unlink(missing_ok=True)
    size, token = -(-len(jobs) // max(1, count_batches(config))), secrets.token_hex(4)
    batches = []
    for first in range(0, len(jobs), max(1, size)):
        batches.append(folder / f"batch-{token}-{first}.json")
        content = {"first": first, "jobs": [list(job) for job in jobs[first : first + size]]}
        batches[-1].write_text(json.dumps(content), encoding="utf-8")
    returns = launcher.launch([[f"+batch={file.stem}"] for file in batches], initial_job_idx=0)
    for file in batches:
        file.unlink(missing_ok=True)
    return returns


def count_batches(config: DictConfig) -> int:
    """Choose the number of batches."""
    launcher: Any = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    if "array_parallelism" in launcher:  # submitit; batches may wait in its queue at no cost
        return launcher["array_parallelism"]
    if "n_jobs" in launcher:  # joblib, where -1 means all cores
        return BATCHES_PER_PROCESS * (launcher["n_jobs"] if launcher["n_jobs"] > 0 else available_cores())
    return parallel or DEFAULT_BATCHES


def run_batch(name: str) -> None:
    """Run the jobs of a batch one after the other, in the process in which it was launched."""
    hydra = HydraConfig.get()
    with contextlib.suppress(OSError):
        Path(hydra.runtime.output_dir).rmdir()  # Hydra's folder for the batch
    sweep, loader = Path(hydra.sweep.dir), GlobalHydra.instance().config_loader()
    content = json.loads(files.read_text(sweep / JOBS_FOLDER / f"{name}.json"))
    master: Any = HydraConfig.instance().cfg
    run_jobs(Composer(loader, master).compose, sweep, content["jobs"], content["first"], owns_terminal=False)
