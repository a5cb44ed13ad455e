"""Read files that may be a stranger's: regular files of bounded size, in UTF-8, of bounded depth."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from microgpt_lab.errors import UserError, printable

LARGEST = 10_000_000  # bytes of a file that is read whole


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of a file. FileNotFoundError; UserError for what is no file, not UTF-8, or larger."""
    with open_regular(path) as file:
        size = min(os.fstat(file.fileno()).st_size, largest)
        content = file.read(size + 1)
        if len(content) > size:  # it has grown, or is one of those that have no size
            content += file.read(largest + 1 - len(content))
    if len(content) > largest:
        raise UserError(f"{path} is larger than {largest:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start}") from None


def open_regular(path: Path) -> BinaryIO:
    """A regular file, to be read. A pipe, which may never have a writer, or a device is refused."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def clean(tree: Any) -> Any:
    """Escape control characters in all texts and keys of a tree."""
    if isinstance(tree, str):
        return printable(tree)
    if isinstance(tree, dict):
        return {printable(str(key)): clean(branch) for key, branch in tree.items()}
    if isinstance(tree, list):
        return [clean(branch) for branch in tree]
    return tree if tree is None or isinstance(tree, (int, float)) else printable(str(tree))


def deeper_than(tree: Any, levels: int) -> bool:
    """Whether a tree has more levels of branches than these."""
    nodes = [tree]
    for _ in range(levels + 1):
        nodes = [
            branch
            for node in nodes
            if isinstance(node, (dict, list))
            for branch in (node.values() if isinstance(node, dict) else node)
        ]
        if not nodes:
            return False
    return True


def msgspec_message(error: Exception) -> str:
    """msgspec's complaint: "expected float, got str, at $.parameters"."""
    if isinstance(error, RecursionError):
        return "too deep"
    return str(error).replace("`", "").replace(" - at ", ", at ").replace("Expected", "expected")
