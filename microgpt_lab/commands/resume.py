"""`python -m microgpt_lab resume [RUN]`: go on with a run that was stopped, as if it had not been."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from microgpt_lab.commands import KEY_VALUE, PROGRAM, RUN, Parser
from microgpt_lab.commands.multirun.prepare import warn
from microgpt_lab.commands.train import exit_status
from microgpt_lab.errors import UserError, printable
from microgpt_lab.options.compose import compose
from microgpt_lab.options.config import complete
from microgpt_lab.options.mistakes import check_twice
from microgpt_lab.run import checkpoint
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read, read_summary
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps import find

OVERRIDE = re.compile(r"[+~]*\w[\w.-]*=")  # a folder that is not there does not begin like this


def main(arguments: list[str]) -> int:
    parser = Parser(
        "resume",
        description="Go on with a run that was stopped or killed. One that has finished trains on with more "
        "steps: resume RUN steps=2000 (its schedule is then one of 2000 steps).",
    )
    parser.add_argument("run", nargs="?", default=find.LAST, metavar="RUN", help=RUN)
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar=KEY_VALUE,
        help="more steps; any other change needs --force",
    )
    parser.add_argument(
        "--force", action="store_true", help="although configuration, data, parts or versions have changed"
    )
    parser.add_argument(
        "--best", action="store_true", help="go back to the checkpoint of the lowest validation loss first"
    )
    args = parser.parse_intermixed_args(arguments)
    if OVERRIDE.match(args.run) and not Path(args.run).exists():
        args.run, args.overrides = find.LAST, [args.run, *args.overrides]
    check_twice(args.overrides)
    warn()
    run = reopened(find.run(args.run), args.overrides, args.force)
    with run.exclusive():
        status = read_summary(run.folder)["status"]
        if status in ("ok", "diverged") and not args.overrides and not args.best:
            longer = f"; to train on: {again(run)}" if status == "ok" and not of_sweep(run.folder) else ""
            print(printable(f"{run.folder} has ended: {status}{longer}"))
            return 0
        if args.best:
            saved = checkpoint.read_best(run.folder)
            print(
                printable(f"{run.folder} goes back to its best checkpoint, of step {saved.facts.get('step')}")
            )
        elif not (saved := checkpoint.read(run.folder, warn_of_damage)):
            print(printable(f"{run.folder} has no checkpoint yet: it begins at step 0"))
        return exit_status(execute(run, saved) | {"folder": str(run.folder)})


def warn_of_damage(line: str) -> None:
    print(printable(f"warning: {line}"), file=sys.stderr)


def again(run: Run) -> str:
    """The command that trains a finished run for twice as many steps."""
    return f"{PROGRAM} resume {shlex.quote(str(run.folder))} steps={2 * run.config['steps'] or 1000}"


def of_sweep(folder: Path) -> bool:
    return (folder.absolute().parent / ".jobs").is_dir()


def reopened(folder: Path, overrides: list[str], force: bool) -> Run:
    """The run as its folder describes it, with these changes."""
    try:
        config, listed = read(folder / "config.yaml") or {}, read(folder / "overrides.yaml") or []
    except FileNotFoundError as error:
        raise UserError(f"there is no run at {folder} (no {Path(error.filename).name})") from None
    if overrides and of_sweep(folder):
        raise UserError(
            f"{folder} is a job of a sweep, which knows it by its configuration: change the sweep"
        )
    if wrong := [override for override in overrides if override.startswith(("hydra", "-", "+hydra"))]:
        raise UserError(f"{wrong[0]} has no meaning for a run that is there")
    if overrides:
        changed = {key(override) for override in overrides}
        listed = [*(override for override in listed if key(override) not in changed), *overrides]
        config = compose(listed)
    try:
        config = complete(config)
    except UserError as error:
        raise UserError(f"{folder / 'config.yaml'}: {error}") from None
    return Run(config, folder, listed, owns_folder=True, accept_changes=force)


def key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
