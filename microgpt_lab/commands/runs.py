"""`python -m microgpt_lab runs`: list the runs below a folder, compare two runs, or remove some."""

from __future__ import annotations

import gc
import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path

from microgpt_lab.commands import KEY_VALUE, PROGRAM, Parser
from microgpt_lab.errors import UserError, nearest, printable, suggest
from microgpt_lab.listing import find, tables
from microgpt_lab.listing.rows import Row, rows
from microgpt_lab.listing.selection import (
    SORT_NAMES,
    STATUSES,
    parse_duration,
    parse_filters,
    select,
    sort_runs,
)
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry

COMMANDS = f"""commands:
  {PROGRAM} runs diff A B                 show the differences between two runs
  {PROGRAM} runs prune --older 30d [DIR]  remove runs by age or status
"""
FOLDER = f"search this folder for runs (default: ./{find.ROOT})"


def main(arguments: list[str]) -> int:
    actions = {"diff": diff, "prune": prune}
    action = actions.get(arguments[0]) if arguments else None
    collects = gc.isenabled()
    gc.disable()  # ten thousand runs create a million objects without reference cycles
    try:
        return action(arguments[1:]) if action else show(arguments)
    finally:
        if collects:
            gc.enable()


def show(arguments: list[str]) -> int:
    """List the runs."""
    parser = Parser(
        "runs",
        description="List the runs below a folder, newest first.",
        epilog=COMMANDS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help=FOLDER)
    parser.add_argument(
        "filters",
        nargs="*",
        default=[],
        metavar=KEY_VALUE,
        help="list only runs with this value of a key, or with this status: status=ok",
    )
    parser.add_argument(
        "--sort",
        metavar="NAME",
        default="age",
        help="sort by a number in summary.json, a key, age, run or status, smallest first (default: age)",
    )
    parser.add_argument("--reverse", action="store_true", help="sort largest first")
    parser.add_argument(
        "--since",
        type=parse_duration,
        metavar="2d",
        help="list only runs that started or resumed within this time",
    )
    parser.add_argument(
        "-n",
        type=int,
        metavar="N",
        help="list only the first N runs (default: as many as fit; all in a pipe)",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON list of objects")
    output.add_argument("--csv", action="store_true", help="print comma-separated values")
    args = parser.parse_intermixed_args(arguments)
    if args.n is not None and args.n < 0:
        raise UserError(f"-n must be at least 0, not {args.n}")
    words = [args.folder, *args.filters] if args.folder else args.filters
    folders = [word for word in words if "=" not in word or find.exists(word)]
    root, wanted = search_folder(folders), parse_filters(word for word in words if word not in folders)
    all_runs = list(rows(root))
    check_filters(wanted, all_runs)
    listed = sort_runs(select(all_runs, wanted, since=args.since), args.sort, reverse=args.reverse)
    if args.json:
        print(tables.as_json(listed[: args.n]))
    elif args.csv:
        tables.write_csv(listed[: args.n])
    elif listed:
        tables.show(listed, root, "loss/val" if args.sort in SORT_NAMES else args.sort, args.n)
    if not listed:
        message = (
            f"none of the {len(all_runs):,} runs below {root} matches"
            if all_runs
            else f"no runs below {root}"
        )
        print(printable(message), file=sys.stderr)
    return 0


def search_folder(folders: list[str]) -> Path:
    """Return the named folder, or ./runs."""
    if len(folders) > 1:
        raise UserError(f"runs lists one folder at a time, not {', '.join(folders)}")
    root = Path(folders[0]) if folders else find.ROOT
    if root.is_dir():
        return root
    if not folders:
        raise UserError(f"there is no folder ./{root}: name one that contains runs, or train first")
    inside = str(find.ROOT / root)
    near = inside if find.exists(inside) else nearest(str(root), ["diff", "prune"])
    raise UserError(f"there is no folder {root}" + (f"; did you mean '{near}'?" if near else ""))


def check_filters(wanted: dict[str, str], all_runs: list[Row]) -> None:
    """UserError for an unknown key, status or part that no listed run has either."""
    for key, value in wanted.items():
        if key == "status":
            check_status(value, all_runs)
            continue
        values = {row.values[key] for row in all_runs if key in row.values}
        if key in KINDS:
            used = {name for present in values for name in str(present).strip("[]").split(",")}
            for name in filter(None, set(value.strip("[]").split(",")) - used):
                registry().get(key, name)
        elif not values:
            from microgpt_lab.options.mistakes import option_of, unknown_key  # slow: it imports Hydra

            if not option_of(key):
                near = nearest(key, ["status"])
                raise UserError(f"'{key}' is unknown; did you mean '{near}'?" if near else unknown_key(key))


def check_status(value: str, all_runs: list[Row]) -> None:
    """UserError for a status that is unknown and that no listed run has either."""
    known = {*STATUSES, *(row.status for row in all_runs)}
    for status in value.split(","):
        if status not in known:
            raise UserError(f"status={status} is unknown{suggest(status, known)}")


def diff(arguments: list[str]) -> int:
    """Print the differences between two runs."""
    from microgpt_lab.listing import diff

    parser = Parser("runs diff", description="Show the differences between two runs.")
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="the folder of a run, a part of its name, or 'last'"
    )
    named = parser.parse_args(arguments).runs
    if len(named) != 2:
        parser.error(f"diff needs two runs, not {len(named)}")
    first, second = map(find.run_folder, named)
    diff.show(first, second)
    return 0


def prune(arguments: list[str]) -> int:
    """Show which runs would be removed, or remove them."""
    from microgpt_lab.listing import prune

    parser = Parser(
        "runs prune",
        description="Show which runs below a folder would be removed; with --yes, remove them. Runs that are "
        "running, and runs whose folders contain other folders, are kept.",
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help=FOLDER)
    parser.add_argument(
        "--older",
        type=parse_duration,
        metavar="30d",
        help="runs that started or last resumed longer ago than this",
    )
    parser.add_argument(
        "--status", help=f"runs with this status, or with one of several: {', '.join(STATUSES)}"
    )
    parser.add_argument("--yes", action="store_true", help="remove the runs")
    args = parser.parse_args(arguments)
    if args.older is None and args.status is None:
        parser.error("name what to remove: --older 30d, --status diverged, or both")
    root = search_folder([args.folder] if args.folder else [])
    all_runs = list(rows(root))
    if args.status is not None:
        check_status(args.status, all_runs)
    wanted = {"status": args.status} if args.status is not None else {}
    return prune.prune(sort_runs(select(all_runs, wanted, older=args.older)), root, sure=args.yes)
