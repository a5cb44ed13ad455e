"""`python -m microgpt_lab resume [RUN]`: continue a run that was stopped, as if it had not been stopped."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from microgpt_lab.commands import PROGRAM, Parser, print_warning
from microgpt_lab.commands.multirun.prepare import warn_of_plugins
from microgpt_lab.commands.train import exit_status
from microgpt_lab.errors import UserError, printable
from microgpt_lab.listing import find
from microgpt_lab.options.compose import compose
from microgpt_lab.options.config import converted_config
from microgpt_lab.options.mistakes import check_twice
from microgpt_lab.options.older import CHECKPOINT, current, current_overrides, has_older_weights
from microgpt_lab.options.overrides import flatten
from microgpt_lab.run import checkpoint
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read, read_summary
from microgpt_lab.run.match import matched
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.folder import JOBS_FOLDER


def main(arguments: list[str]) -> int:
    parser = Parser(
        "resume",
        description="Continue a run that was stopped or killed. To train a finished run longer, give it more "
        "steps: resume RUN steps=2000 (the learning rate schedule is then stretched to 2000 steps).",
    )
    parser.add_run_and_overrides("steps=N trains longer; any other change needs --force")
    parser.add_argument(
        "--force",
        action="store_true",
        help="continue even if the configuration, data, parts or versions have changed",
    )
    parser.add_argument(
        "--best", action="store_true", help="continue from the checkpoint with the lowest validation loss"
    )
    args = parser.parse_run_and_overrides(arguments)
    check_twice(args.overrides)
    warn_of_plugins()
    run = reopen(find.run_folder(args.run), args.overrides, args.force)
    summary = go_on(run, best=args.best, changed=bool(args.overrides))
    return exit_status(summary | {"folder": str(run.folder)}) if summary else 0


def go_on(run: Run, *, best: bool = False, changed: bool = False) -> dict[str, Any] | None:
    """Continue a run from its last or best checkpoint, and return the summary; None if it has ended.

    changed: whether its configuration has been changed, so that a run that has ended continues too.
    """
    with run.exclusive():
        status = read_summary(run.folder)["status"]
        if status in ("ok", "diverged") and not changed and not best:
            longer = status == "ok" and not is_job(run.folder)
            hint = f"; to train longer: {longer_command(run)}" if longer else ""
            print(printable(f"{run.folder} has ended: {status}{hint}"))
            return None
        if best:
            saved = checkpoint.read_best(run.folder)
            print(
                printable(f"{run.folder} continues from its best checkpoint, step {saved.facts.get('step')}")
            )
        elif not (saved := checkpoint.read(run.folder, print_warning)):
            print(printable(f"{run.folder} has no checkpoint yet: it starts at step 0"))
        return execute(run, saved)


def longer_command(run: Run) -> str:
    """Return the command that trains a finished run for twice as many steps."""
    return f"{PROGRAM} resume {shlex.quote(str(run.folder))} steps={2 * run.config['steps'] or 1000}"


def is_job(folder: Path) -> bool:
    """Return whether a run is a job of a sweep."""
    return (folder.absolute().parent / JOBS_FOLDER).is_dir()


def reopen(folder: Path, overrides: list[str], force: bool) -> Run:
    """Return the run in a folder, with its configuration changed by these overrides."""
    try:
        config, previous = read(folder / "config.yaml") or {}, read(folder / "overrides.yaml") or []
    except FileNotFoundError as error:
        raise UserError(f"there is no run at {folder} (no {Path(error.filename).name})") from None
    if has_older_weights(config):
        raise UserError(f"{folder} {CHECKPOINT}")
    if overrides and is_job(folder):
        raise UserError(
            f"{folder} is a job of a sweep, which finds it by its configuration: change the sweep"
        )
    if wrong := [override for override in overrides if override.startswith(("hydra", "-", "+hydra"))]:
        raise UserError(f"{wrong[0]} has no meaning for a run that exists: remove it")
    previous = current_overrides(previous, config)
    if overrides:
        changed = {key(override) for override in overrides}
        previous = [*(override for override in previous if key(override) not in changed), *overrides]
        config = compose(previous, auto=str(dict(flatten(config)).get("backend", "")))
        config = matched(config, previous)
    try:
        config = converted_config(current(config))
    except UserError as error:
        raise UserError(f"{folder / 'config.yaml'}: {error}") from None
    return Run(config, folder, previous, owns_folder=True, accept_changes=force)


def key(override: str) -> str:
    """Return the key of an override, such as 'layers' of '++layers=2'."""
    return override.lstrip("+~").partition("=")[0]
