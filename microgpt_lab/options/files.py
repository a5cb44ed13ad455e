"""Read untrusted files: only regular files in UTF-8, with a limited size and depth."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from microgpt_lab.errors import UserError, printable

MAX_FILE_BYTES = 10_000_000


def read_text(path: Path, largest: int = MAX_FILE_BYTES) -> str:
    """Return the text of a file.

    FileNotFoundError if it does not exist; UserError if it is not a regular file, not UTF-8, or larger than
    `largest` bytes.
    """
    with open_regular(path) as file:
        size = min(os.fstat(file.fileno()).st_size, largest)
        content = file.read(size + 1)
        if len(content) > size:  # it has grown since, or it has no size, as in /proc
            content += file.read(largest + 1 - len(content))
    if len(content) > largest:
        raise UserError(f"{path} is larger than {largest:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start}") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. UserError for a pipe, which could block forever, or a device."""
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


def check_regular(path: Path) -> None:
    """Raise UserError if a path where a run writes exists, and is not a regular file but a link, say."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise UserError(f"{path} is not a regular file: the run would write somewhere else")


def clean(tree: Any) -> Any:
    """Escape control characters in all strings and keys of nested dictionaries and lists."""
    if isinstance(tree, str):
        return printable(tree)
    if isinstance(tree, dict):
        return {printable(str(key)): clean(branch) for key, branch in tree.items()}
    if isinstance(tree, list):
        return [clean(branch) for branch in tree]
    return tree if tree is None or isinstance(tree, (int, float)) else printable(str(tree))


def deeper_than(tree: Any, levels: int) -> bool:
    """Return whether dictionaries and lists are nested more than `levels` deep."""
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
    """Return the message of msgspec, such as "expected float, got str, at $.parameters"."""
    if isinstance(error, RecursionError):
        return "too deep"
    return str(error).replace("`", "").replace(" - at ", ", at ").replace("Expected", "expected")
