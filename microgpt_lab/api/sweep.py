"""Train several settings in parallel, as `python -m microgpt_lab -m key=A,B …` does."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.api.arguments import as_arguments, folder_setting
from microgpt_lab.api.html import table
from microgpt_lab.api.process import run_command
from microgpt_lab.api.progress import Progress
from microgpt_lab.api.run import typed_path
from microgpt_lab.errors import UserError
from microgpt_lab.options.compose import sweep_folder, written_out
from microgpt_lab.registry.extras import install_module
from microgpt_lab.run.folder import read_summary
from microgpt_lab.sweeps.folder import run_folders
from microgpt_lab.sweeps.table import load_sweep
from microgpt_lab.terminal import in_notebook

if TYPE_CHECKING:
    import pandas

    from microgpt_lab.api.report import Report

MOST_ROWS = 20  # runs that a notebook shows


class Sweep:
    """A sweep on disk: its runs, and the comparison of its settings.

    folder: the folder of the sweep, as a `Path`.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def runs(self) -> pandas.DataFrame:
        """The runs, a row each: the swept keys, `status`, and all figures. See `load_sweep`."""
        try:
            return load_sweep(self.folder)
        except ModuleNotFoundError:
            raise UserError(f"runs needs pandas: {install_module('pandas')}") from None

    @property
    def statuses(self) -> dict[str, int]:
        """The number of runs with each status."""
        return Counter(read_summary(folder)["status"] for folder in run_folders(self.folder))

    def report(self, **options: Any) -> Report:
        """Compare the settings over their seeds, and write report.html, report.md and report.json.

        options: those of the command: by="activation", best="optimizer.lr", against="activation=relu",
            metric="bits_per_char/val", gap=0.01, x="parameters", pairs=True.
        """
        from microgpt_lab.api.report import compare

        return compare(self.folder, options)

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in sorted(self.statuses.items()))
        return f"Sweep({counts or 'no run'}, folder={typed_path(self.folder)!r})"

    def _repr_html_(self) -> str:
        try:
            runs = self.runs
        except UserError:  # without pandas, or runs
            return table([[repr(self)]])
        columns = [
            *runs.attrs["swept"],
            *(name for name in ("status", "loss/val", "seconds") if name in runs),
        ]
        shown = runs[columns].head(MOST_ROWS).to_html(index=False, float_format="{:.4f}".format, na_rep="")
        more = f"<p>and {len(runs) - MOST_ROWS} more</p>" if len(runs) > MOST_ROWS else ""
        return f"{table([[repr(self)]])}{shown}{more}"


def sweep(*overrides: str, folder: str | os.PathLike[str] | None = None, **settings: Any) -> Sweep:
    """Train every combination of the values, in parallel, and return the sweep: its runs, and their report.

    overrides: as on the command line: "activation=relu,gelu", "optimizer.lr=0.01,0.02".
    folder: where the sweep is written; by default below ./runs. The same call with the folder of a sweep
        that was stopped runs its missing jobs.
    settings: the same for keys without a dot, with a list for several values: seed=range(5). jobs=2 limits
        how many jobs run at a time, and until=0.005 adds seeds until the intervals are that narrow.

    If a job fails, the others go on. Ctrl-C stops all jobs after their current step, and returns the sweep
    with what has finished. UserError for a mistake.

    >>> found = sweep("activation=relu,gelu", seed=range(5), backend="auto")  # doctest: +SKIP
    >>> found.report()  # doctest: +SKIP
    """
    arguments = as_arguments(overrides, settings, several=True)
    written = written_out([*arguments, *folder_setting("hydra.sweep.dir", folder)])
    path = sweep_folder([argument for argument in written if not argument.startswith(("jobs=", "+jobs="))])
    own = [argument for argument in arguments if not argument.startswith("hydra.sweep.dir=")]
    result, progress = Sweep(path), None if sys.stdout.isatty() else Progress(in_notebook())
    try:
        command = ["-m", *own, *folder_setting("hydra.sweep.dir", path)]
        status, refused = run_command(command, progress)
    except KeyboardInterrupt:
        if not any(run_folders(path)):
            raise
        again = f"the same call with folder={typed_path(path)!r} runs the missing jobs"
        print(f"interrupted, {result.statuses['ok']} runs have finished: {again}")
        return result
    if refused:
        raise UserError(refused)
    if status and not any(run_folders(path)):
        raise UserError(f"the sweep has stopped with exit status {status}")
    return result
