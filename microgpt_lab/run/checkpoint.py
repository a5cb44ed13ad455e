"""Read and write checkpoints: files with everything that a run needs to continue as if never stopped.

The first line names the format, the SHA-256 of the rest and its length. The next line is JSON: step,
configuration, vocabulary, state of the random generator, and the tree of tensors, with a shape in place
of each tensor. All numbers follow, 8 bytes each, little-endian.

A new checkpoint is complete on the disk before it gets its name, and the previous one is kept. A run may
also keep the checkpoint with the lowest validation loss.
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
from microgpt_lab.options.older import current_facts

CURRENT, PREVIOUS, BEST = "checkpoint.bin", "checkpoint.previous.bin", "checkpoint.best.bin"
FIRST_LINE = re.compile(rb"microgpt_lab checkpoint 1 ([0-9a-f]{64}) ([0-9]{1,15})\n")


class Damaged(ValueError):
    """The content of a checkpoint is not what was written."""


class Saved(NamedTuple):
    """A checkpoint that was read: the facts, the numbers of all tensors in order, and the file's name."""

    facts: dict[str, Any]
    numbers: array[float]
    name: str


def encode(facts: dict[str, Any], tensors: dict[str, Any]) -> bytes:
    """Return the content of a checkpoint.

    facts: everything but the tensors, of JSON's types.
    tensors: trees of dicts and tuples with tensors as leaves, by name.
    """
    numbers = array("d")
    shapes = {name: flatten(tree, numbers) for name, tree in tensors.items()}
    if sys.byteorder == "big":
        numbers.byteswap()
    text = json.dumps(facts | {"tensors": shapes})
    body = text.encode() + b"\n" + numbers.tobytes()
    return (
        b"microgpt_lab checkpoint 1 %s %d\n" % (hashlib.sha256(body).hexdigest().encode(), len(body)) + body
    )


def decode(content: bytes) -> tuple[dict[str, Any], array[float]]:
    """Return the facts, and the numbers of all tensors in order. Damaged if any bit has changed."""
    first_line = FIRST_LINE.match(content)
    if not first_line:
        raise Damaged("it does not start like a checkpoint")
    body = memoryview(content)[first_line.end() :]
    if len(body) != int(first_line[2]):
        raise Damaged(f"it has {len(body):,} of {int(first_line[2]):,} bytes")
    if hashlib.sha256(body).hexdigest().encode() != first_line[1]:
        raise Damaged("its checksum does not match")
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


def flatten(tree: Any, numbers: array[float]) -> Any:
    """Return the tree as JSON, each tensor as its shape, '27x16', and append its numbers to `numbers`."""
    if isinstance(tree, dict):
        return {name: flatten(branch, numbers) for name, branch in tree.items()}
    if isinstance(tree, (tuple, list)):
        return [flatten(branch, numbers) for branch in tree]
    if tree is None or isinstance(tree, (int, float)):
        return tree
    for row in (rows := tree.tolist()):
        numbers.extend(row)
    return f"{len(rows)}x{len(rows[0])}"


def unflatten(shapes: Any, numbers: Iterator[float], tensor: Callable, like: Any = None) -> Any:
    """Return the tree that `flatten` was given.

    tensor: makes a tensor of a list of rows.
    like: a tree of the same structure, from which named tuples take their types.
    """
    if isinstance(shapes, dict):
        examples = like if isinstance(like, dict) else {}
        return {
            name: unflatten(branch, numbers, tensor, examples.get(name)) for name, branch in shapes.items()
        }
    if isinstance(shapes, list):
        same_length = isinstance(like, tuple) and len(like) == len(shapes)
        examples = like if same_length else (None,) * len(shapes)
        branches = tuple(unflatten(branch, numbers, tensor, e) for branch, e in zip(shapes, examples))
        return type(like)(*branches) if hasattr(like, "_fields") else branches
    if isinstance(shapes, str):
        rows, columns = map(int, shapes.split("x"))
        return tensor([take(numbers, columns) for _ in range(rows)])
    return shapes


def take(numbers: Iterator[float], count: int) -> list[float]:
    """Return the next numbers: a row of a tensor."""
    row = list(islice(numbers, count))
    if not row or len(row) < count:
        raise ValueError("there are fewer numbers than the shapes need")
    return row


def write(folder: Path, content: bytes, name: str = CURRENT) -> None:
    """Replace the checkpoint of this name in this folder. The current checkpoint becomes the previous one.

    After a kill or a power cut at any moment, the old or the new checkpoint is complete.
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
    """Flush a file's content to the disk, whoever wrote it; of a folder, the names in it.

    Windows opens no folder, and flushes only what is open for writing.
    """
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except PermissionError:
        if is_folder:
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: Path) -> bytes:
    """Read a checkpoint's content. Damaged if the file has not the length that its first line says.

    The length is checked first, because a damaged file may be too large to read.
    """
    with open_regular(path) as file:
        first = file.readline(200)
        size, match = os.fstat(file.fileno()).st_size, FIRST_LINE.fullmatch(first)
        if match and size != len(first) + int(match[2]):
            raise Damaged(f"it has {size - len(first):,} of {int(match[2]):,} bytes")
        try:
            return first + file.read() if match else first
        except MemoryError:
            raise Damaged(f"its {size:,} bytes do not fit into memory") from None


def make_current(folder: Path, name: str) -> None:
    """Make this checkpoint the current one. Newer checkpoints are damaged or no longer wanted."""
    if name == PREVIOUS:
        (folder / PREVIOUS).replace(folder / CURRENT)
    elif name != CURRENT:
        write(folder, read_bytes(folder / name))
        (folder / PREVIOUS).unlink(missing_ok=True)


def read_best(folder: Path) -> Saved:
    """Read the checkpoint with the lowest validation loss. UserError if there is none, Changed if damaged."""
    if best := read(folder, lambda line: None, (BEST,)):
        return best
    raise UserError(
        f"there is no best checkpoint at {folder}: a run keeps one with callback.checkpoint.best=true"
    )


def read(
    folder: Path, warn: Callable[[str], None], names: tuple[str, ...] = (CURRENT, PREVIOUS)
) -> Saved | None:
    """Read the newest undamaged checkpoint of a run. None if there is none, Changed if all are damaged."""
    damaged: list[str] = []
    for name in names:
        try:
            facts, numbers = decode(read_bytes(folder / name))
            saved = Saved(current_facts(facts), numbers, name)
        except FileNotFoundError:
            continue
        except UserError as error:
            damaged.append(str(error))
        except Damaged as error:
            damaged.append(f"{folder / name} is damaged: {error}")
        else:
            for line in damaged:
                warn(f"{line}; the previous checkpoint is used, of step {saved.facts.get('step')}")
            return saved
    if damaged:
        raise Changed("; ".join(damaged))
    return None
