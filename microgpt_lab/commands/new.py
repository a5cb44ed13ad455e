"""`python -m microgpt_lab new KIND NAME`: write a new part that works, to be changed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from microgpt_lab import __version__
from microgpt_lab.authoring.names import check_kind, check_module, check_name
from microgpt_lab.authoring.package import author_of, override, package, part_source
from microgpt_lab.authoring.places import plugin_file
from microgpt_lab.commands import PROGRAM, Parser
from microgpt_lab.commands.target import new
from microgpt_lab.errors import STORAGE_ERRNOS, StorageError, UserError, printable
from microgpt_lab.registry.hookspecs import KINDS


def main(arguments: list[str]) -> int:
    parser = Parser(
        "new",
        description="Write a new part that works, to be changed: a package with its test, ready to be "
        "published. In a folder of plugins, such as ~/.microgpt_lab/plugins, it is one file.",
        epilog="For example: new activation swish_beta. docs/authors.md shows the way from there.",
    )
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="what to write on the command line: KIND=NAME")
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="the new folder, or one of plugins (default: ./NAME)"
    )
    args = parser.parse_args(arguments)
    check_kind(args.kind, args.name)
    check_name(args.kind, args.name)
    if file := plugin_file(args.kind, args.name, Path(args.folder or "").resolve()):
        write_file(args.kind, args.name, file)
    else:
        check_module(args.kind, args.name)
        write_package(args.kind, args.name, Path(args.folder or args.name))
    return 0


def write_file(kind: str, name: str, file: Path) -> None:
    """Write a part into a folder of plugins."""
    write(file, {"": part_source(kind, name)})
    print(printable(f"{file}  the {kind}: change the code and the docstring"))
    print_next(kind, name)


def write_package(kind: str, name: str, folder: Path) -> None:
    """Write a package into a new folder."""
    target = folder.resolve()
    if not target.parent.is_dir():
        raise UserError(f"the folder {target.parent} does not exist")
    files = package(kind, name, author_of(name, target.parent), __version__)
    write(target, files)
    said = {
        f"{name}.py": f"the {kind}: change the code and the docstring",
        f"tests/test_{name}.py": "its test",
    }
    width = max(map(len, said))
    print(printable(f"{folder}{os.sep}"))
    for file in files:
        print(f"  {file:<{width}}  {said.get(file, '')}".rstrip())
    path = str(folder) if folder.is_absolute() else f".{os.sep}{folder}"  # else pip looks for it on PyPI
    print_next(kind, name, f"python -m pip install -e {shlex.quote(f'{path}[test]')}")


def write(target: Path, files: dict[str, str]) -> None:
    """Write texts by path below the target, or one text, at '', as the target itself: all or nothing."""
    if os.path.lexists(target):
        raise UserError(f"{target} exists: choose another name, or remove it")
    try:
        with new(target, is_folder="" not in files) as unnamed:
            for path, text in files.items():
                file = unnamed / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        kind = StorageError if error.errno in STORAGE_ERRNOS else UserError
        raise kind(f"{target} cannot be written: {error.strerror}") from None


def print_next(kind: str, name: str, *commands: str) -> None:
    """Print the commands that come next."""
    print("Next:")
    for command in (*commands, f"{PROGRAM} check {kind}={name}", f"{PROGRAM} {override(kind, name)}"):
        print(printable(f"  {command}"))
