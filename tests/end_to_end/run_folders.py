"""Create runs on disk, and list them."""

import json
import os
import time
from pathlib import Path

from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.folder import JobEntry
from microgpt_lab.sweeps.job import Job

HOUR, DAY = 3600, 86400


def made(folder, config, age=0.0, sweep=None, overrides=(), **summary):
    """Create a run on disk that finished with this summary; without a summary, a killed run."""
    if sweep:
        run = Job(config, folder, list(overrides), entry=JobEntry(sweep, config))
    else:
        run = Run(config, folder, list(overrides))
    run.claim()
    if summary:
        run.write_summary(summary)
    dated(folder, age)
    return folder


def dated(folder, age):
    """Make a run this many seconds old."""
    then = time.time() - age
    os.utime(folder / "config.yaml", (then, then))


def listed(lab, *arguments):
    """The folders that `runs` lists, in its order."""
    runs = json.loads(lab("runs", "--json", *arguments, check=0, exactly=True).stdout)
    return [str(Path(run["folder"]).relative_to("runs")) for run in runs]
