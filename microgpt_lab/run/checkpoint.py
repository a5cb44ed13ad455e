"""A checkpoint on disk: all that a run needs to go on as if it had never stopped.

The first line names the format, the SHA-256 of what follows and its length. Then comes a line of
JSON (step, configuration, vocabulary, generator, and the tensors' shapes in their places), then all
numbers, 8 bytes each, little-endian. A file is whole before it takes its name, and the one before
it is kept. A third may be kept beside them: that of the lowest validation loss.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.errors import Changed, UserError
from microgpt_lab.options.files import open_regular

CURRENT, PREVIOUS, BEST = "checkpoint.bin", "checkpoint.previous.bin", "checkpoint.best.bin"
FIRST_LINE = re.compile(rb"microgpt_lab checkpoint 1 ([0-9a-f]{64}) ([0-9]{1,15})\n")


class Damaged(ValueError):
    """What the file holds is not what was written."""


class Saved(NamedTuple):
    """A checkpoint as it was read: the facts, all tensors' numbers in order, and the file's name."""

    facts: dict[str, Any]
    numbers: array[float]
    name: str


def encode(facts: dict[str, Any], tensors: dict[str, Any]) -> bytes:
    """The content of a file: `facts` as JSON; tensors in dicts and tuples, by name."""
    numbers = array("d")
    forms = {name: form(tree, numbers) for name, tree in tensors.items()}
    if sys.byteorder == "big":
        numbers.byteswap()
    text = json.dumps(facts | {"tensors": forms})
    body = text.encode() + b"\n" + numbers.tobytes()
    return (
        b"microgpt_lab checkpoint 1 %s %d\n" % (hashlib.sha256(body).hexdigest().encode(), len(body)) + body
    )


def decode(content: bytes) -> tuple[dict[str, Any], array[float]]:
    """The facts, and the numbers of all tensors in order. Damaged if a bit is not as it was written."""
    found = FIRST_LINE.match(content)
    if not found:
        raise Damaged("it does not begin as a checkpoint does")
    body = memoryview(content)[found.end() :]
    if len(body) != int(found[2]):
        raise Damaged(f"it has {len(body):,} of {int(found[2]):,} bytes")
    if hashlib.sha256(body).hexdigest().encode() != found[1]:
        raise Damaged("its checksum is another")
    text, _, raw = bytes(body).partition(b"\n")
    try:
        facts, numbers = json.loads(text), array("d", raw)
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from None
    if not isinstance(facts, dict):
        raise Damaged("it has no facts")
    if sys.byteorder == "big":
        numbers.byteswap()
    return facts, numbers


def form(tree: Any, numbers: array[float]) -> Any:
    """The tree as JSON, a tensor as its shape, '27x16'; its numbers go to the end of `numbers`."""
    if isinstance(tree, dict):
        return {name: form(branch, numbers) for name, branch in tree.items()}
    if isinstance(tree, (tuple, list)):
        return [form(branch, numbers) for branch in tree]
    if tree is None or isinstance(tree, (int, float)):
        return tree
    for row in (rows := tree.tolist()):
        numbers.extend(row)
    return f"{len(rows)}x{len(rows[0])}"


def tree(form: Any, numbers: Iterator[float], tensor: Callable, like: Any = None) -> Any:
    """What `form` was made of. Tuples with named fields are those of the tree that it is to be `like`."""
    if isinstance(form, dict):
        known = like if isinstance(like, dict) else {}
        return {name: tree(branch, numbers, tensor, known.get(name)) for name, branch in form.items()}
    if isinstance(form, list):
        known = like if isinstance(like, tuple) and len(like) == len(form) else (None,) * len(form)
        branches = tuple(tree(branch, numbers, tensor, other) for branch, other in zip(form, known))
        return type(like)(*branches) if hasattr(like, "_fields") else branches
    if isinstance(form, str):
        rows, columns = map(int, form.split("x"))
        return tensor([taken(numbers, columns) for _ in range(rows)])
    return form


def taken(numbers: Iterator[float], count: int) -> list[float]:
    row = list(islice(numbers, count))
    if not row or len(row) < count:
        raise ValueError("there are fewer numbers than the shapes say")
    return row


def write(folder: Path, content: bytes, name: str = CURRENT) -> None:
    """Take the place of the checkpoint of this name in this folder. The current one becomes the previous one.

    Killed or without power at any moment, a whole file is left: the one before, or this one.
    """
    path, part = folder / name, folder / f"{name}.part"
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if name == CURRENT and path.exists():
            path.replace(folder / PREVIOUS)
        part.replace(path)
        sync(folder)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Have the disk know what this file holds, whoever wrote it; or the names in this folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def whole(path: Path) -> bytes:
    """The content of a file, if it is as long as its first line says: it may be too large to be read."""
    with open_regular(path) as file:
        first = file.readline(200)
        size, found = os.fstat(file.fileno()).st_size, FIRST_LINE.fullmatch(first)
        if found and size != len(first) + int(found[2]):
            raise Damaged(f"it has {size - len(first):,} of {int(found[2]):,} bytes")
        try:
            return first + file.read() if found else first
        except MemoryError:
            raise Damaged(f"its {size:,} bytes do not fit into memory") from None


def go_back(folder: Path, name: str) -> None:
    """Have this checkpoint take the place of the newer ones, which are damaged or not wanted any more."""
    if name == PREVIOUS:
        (folder / PREVIOUS).replace(folder / CURRENT)
    elif name != CURRENT:
        write(folder, whole(folder / name))
        (folder / PREVIOUS).unlink(missing_ok=True)


def read_best(folder: Path) -> Saved:
    """The checkpoint of a run's lowest validation loss. UserError if it has kept none; Changed if damaged."""
    if found := read(folder, lambda line: None, (BEST,)):
        return found
    raise UserError(
        f"there is no best checkpoint at {folder}: a run keeps one with callback.checkpoint.best=true"
    )


def read(
    folder: Path, warn: Callable[[str], None], names: tuple[str, ...] = (CURRENT, PREVIOUS)
) -> Saved | None:
    """The last good checkpoint of a run, None if it has written none. Changed if all are damaged."""
    damaged: list[str] = []
    for name in names:
        try:
            found = Saved(*decode(whole(folder / name)), name)
        except FileNotFoundError:
            continue
        except UserError as error:
            damaged.append(str(error))
        except Damaged as error:
            damaged.append(f"{folder / name} is damaged: {error}")
        else:
            for line in damaged:
                warn(f"{line}; the one before it is used, of step {found.facts.get('step')}")
            return found
    if damaged:
        raise Changed("; ".join(damaged))
    return None
