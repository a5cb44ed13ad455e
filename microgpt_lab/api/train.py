"""Train from Python as `python -m microgpt_lab key=value …` does."""

from __future__ import annotations

import os
from typing import Any

from microgpt_lab.api.arguments import as_arguments, folder_setting
from microgpt_lab.api.run import Run, finished
from microgpt_lab.commands.multirun.prepare import warn_of_plugins
from microgpt_lab.errors import UserError
from microgpt_lab.options.compose import compose_run, written_out
from microgpt_lab.run import record
from microgpt_lab.run.execute import execute
from microgpt_lab.run.match import matched

SWEEP_ONLY = ("jobs", "until", "hydra.sweeper", "hydra.sweep", "hydra/sweeper", "hydra/launcher")


def train(*overrides: str, folder: str | os.PathLike[str] | None = None, **settings: Any) -> Run:
    """Train a model, and return its run: the losses, the weights, and samples.

    overrides: as on the command line: "activation=gelu", "optimizer.lr=0.02".
    folder: where the run is written; by default below ./runs, under the name that the command line gives it.
    settings: the same for keys without a dot: activation="gelu", steps=200.

    Ctrl-C stops the training after the current step, and returns the run so far. UserError for a mistake.

    >>> run = train("activation=gelu", steps=200)  # doctest: +SKIP
    >>> run.loss, run.sample("em")  # doctest: +SKIP
    """
    arguments = as_arguments(overrides, settings)
    for argument in arguments:
        if argument.lstrip("+").startswith(SWEEP_ONLY):
            raise UserError(f"{argument} is for a sweep: call sweep instead of train")
    written = written_out([*arguments, *folder_setting("hydra.run.dir", folder)])
    config, path, given = compose_run(written)
    run = record.Run(matched(config, given), path, given)
    warn_of_plugins()
    return finished(run, lambda: execute(run))
