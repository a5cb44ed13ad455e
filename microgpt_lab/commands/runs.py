"""`python -m microgpt_lab runs`: list the runs below a folder, compare two of them, remove some."""

from __future__ import annotations

import gc
import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path

from microgpt_lab.commands import KEY_VALUE, PROGRAM, Parser
from microgpt_lab.errors import UserError, nearest, printable, suggest
from microgpt_lab.listing import tables
from microgpt_lab.listing.rows import Row, rows
from microgpt_lab.listing.selection import OWN, STATUSES, chosen, duration, filters, ordered
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry
from microgpt_lab.sweeps import find

COMMANDS = f"""commands:
  {PROGRAM} runs diff A B                 say what differs between two runs
  {PROGRAM} runs prune --older 30d [DIR]  remove runs by their age or status
"""
FOLDER = f"the folder to look below (default: ./{find.ROOT})"


def main(arguments: list[str]) -> int:
    actions = {"diff": diff, "prune": prune}
    action = actions.get(arguments[0]) if arguments else None
    collects = gc.isenabled()
    gc.disable()  # what ten thousand runs say is a million objects without cycles
    try:
        return action(arguments[1:]) if action else show(arguments)
    finally:
        if collects:
            gc.enable()


def show(arguments: list[str]) -> int:
    """List the runs."""
    parser = Parser(
        "runs",
        description="List the runs below a folder, the newest first.",
        epilog=COMMANDS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help=FOLDER)
    parser.add_argument(
        "filters", nargs="*", default=[], metavar=KEY_VALUE, help="only runs with this value; status=ok too"
    )
    parser.add_argument(
        "--sort",
        metavar="NAME",
        default="age",
        help="by a figure of summary.json, a key, age, run or status: the smallest first (default: age)",
    )
    parser.add_argument("--reverse", action="store_true", help="the largest first")
    parser.add_argument("--since", type=duration, metavar="2d", help="only runs begun or resumed since then")
    parser.add_argument(
        "-n", type=int, metavar="N", help="only the first N (default: what fits, in a pipe all)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one list of objects")
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    args = parser.parse_intermixed_args(arguments)
    if args.n is not None and args.n < 0:
        raise UserError(f"-n must be at least 0, not {args.n}")
    words = [args.folder, *args.filters] if args.folder else args.filters
    folders = [word for word in words if "=" not in word or find.exists(word)]
    root, wanted = below(folders), filters(word for word in words if word not in folders)
    found = list(rows(root))
    check(wanted, found)
    listed = ordered(chosen(found, wanted, since=args.since), args.sort, reverse=args.reverse)
    if args.json:
        print(tables.as_json(listed[: args.n]))
    elif args.csv:
        tables.write_csv(listed[: args.n])
    elif listed:
        tables.show(listed, root, "loss/val" if args.sort in OWN else args.sort, args.n)
    if not listed:
        none = f"none of the {len(found):,} runs below {root} is so" if found else f"no runs below {root}"
        print(printable(none), file=sys.stderr)
    return 0


def below(folders: list[str]) -> Path:
    """The folder that is named, or ./runs."""
    if len(folders) > 1:
        raise UserError(f"runs lists one folder at a time, not {', '.join(folders)}")
    root = Path(folders[0]) if folders else find.ROOT
    if root.is_dir():
        return root
    if not folders:
        raise UserError(f"there is no folder ./{root}: name one that holds runs, or train first")
    inside = str(find.ROOT / root)
    near = inside if find.exists(inside) else nearest(str(root), ["diff", "prune"])
    raise UserError(f"there is no folder {root}" + (f"; did you mean '{near}'?" if near else ""))


def check(wanted: dict[str, str], found: list[Row]) -> None:
    """UserError for a key, a status or a part that no run here has, and none can have."""
    for key, value in wanted.items():
        if key == "status":
            check_status(value, found)
            continue
        seen = {row.values[key] for row in found if key in row.values}
        if key in KINDS:
            installed = {name for one in seen for name in str(one).strip("[]").split(",")}
            for name in filter(None, set(value.strip("[]").split(",")) - installed):
                registry().get(key, name)
        elif not seen:
            from microgpt_lab.options.mistakes import option_of, unknown_key  # slow: it imports Hydra

            if not option_of(key):
                near = nearest(key, ["status"])
                raise UserError(f"'{key}' is unknown; did you mean '{near}'?" if near else unknown_key(key))


def check_status(value: str, found: list[Row]) -> None:
    known = {*STATUSES, *(row.status for row in found)}
    for status in value.split(","):
        if status not in known:
            raise UserError(f"status={status} is unknown{suggest(status, known)}")


def diff(arguments: list[str]) -> int:
    """Print what differs between two runs."""
    from microgpt_lab.listing import diff

    parser = Parser("runs diff", description="Say what differs between two runs.")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="its folder, a part of its name, or 'last'")
    named = parser.parse_args(arguments).runs
    if len(named) != 2:
        parser.error(f"diff needs two runs, not {len(named)}")
    one, other = map(find.run, named)
    diff.show(one, other)
    return 0


def prune(arguments: list[str]) -> int:
    """Say which runs would be removed, or remove them."""
    from microgpt_lab.listing import prune

    parser = Parser(
        "runs prune",
        description="Show which runs below a folder would be removed; with --yes, remove them. A run at work "
        "is kept, and so is one whose folder holds other folders.",
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help=FOLDER)
    parser.add_argument("--older", type=duration, metavar="30d", help="runs begun or resumed before then")
    parser.add_argument("--status", help=f"runs with this status, or one of several: {', '.join(STATUSES)}")
    parser.add_argument("--yes", action="store_true", help="remove them")
    args = parser.parse_args(arguments)
    if args.older is None and args.status is None:
        parser.error("name what to remove: --older 30d, --status diverged, or both")
    root = below([args.folder] if args.folder else [])
    found = list(rows(root))
    if args.status is not None:
        check_status(args.status, found)
    wanted = {"status": args.status} if args.status is not None else {}
    return prune.prune(ordered(chosen(found, wanted, older=args.older)), root, sure=args.yes)
