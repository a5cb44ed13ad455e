"""`python -m microgpt_lab resume RUN`: go on with a run that was stopped, as if it had not been."""

from __future__ import annotations

import sys
from pathlib import Path

from microgpt_lab import checkpoint
from microgpt_lab.commands import Parser
from microgpt_lab.commands.multirun import warn
from microgpt_lab.commands.train import composed, exit_status
from microgpt_lab.config import complete
from microgpt_lab.errors import UserError, printable
from microgpt_lab.reading import read, read_summary
from microgpt_lab.record import Run
from microgpt_lab.run import execute


def main(arguments: list[str]) -> int:
    parser = Parser("microgpt_lab resume", description="Go on with a run that was stopped or killed.")
    parser.add_argument("run", type=Path, metavar="RUN", help="its folder")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="what shall change, with --force"
    )
    parser.add_argument(
        "--force", action="store_true", help="although configuration, data, parts or versions have changed"
    )
    args = parser.parse_intermixed_args(arguments)
    warn()
    run = reopened(args.run, args.overrides, args.force)
    with run.held():
        status = read_summary(run.folder)["status"]
        if status in ("ok", "diverged") and not args.overrides:
            print(printable(f"{run.folder} has ended: {status}"))
            return 0
        saved = checkpoint.read(
            run.folder, lambda line: print(printable(f"warning: {line}"), file=sys.stderr)
        )
        if not saved:
            print(printable(f"{run.folder} has no checkpoint yet: it begins at step 0"))
        return exit_status(execute(run, saved) | {"folder": str(run.folder)})


def reopened(folder: Path, overrides: list[str], force: bool) -> Run:
    """The run as its folder describes it, with these changes."""
    try:
        config, listed = read(folder / "config.yaml") or {}, read(folder / "overrides.yaml") or []
    except FileNotFoundError as error:
        raise UserError(f"there is no run at {folder} (no {Path(error.filename).name})") from None
    if overrides and (folder.absolute().parent / ".jobs").is_dir():
        raise UserError(
            f"{folder} is a job of a sweep, which knows it by its configuration: change the sweep"
        )
    if wrong := [override for override in overrides if override.startswith(("hydra", "-", "+hydra"))]:
        raise UserError(f"{wrong[0]} has no meaning for a run that is there")
    if overrides:
        listed = [*listed, *overrides]
        config = composed(listed)
    try:
        config = complete(config)
    except UserError as error:
        raise UserError(f"{folder / 'config.yaml'}: {error}") from None
    return Run(config, folder, listed, claimed=True, accepted=force)
