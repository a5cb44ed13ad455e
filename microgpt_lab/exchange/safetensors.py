"""Weights as safetensors, a file format of Hugging Face that is data alone.

A file (https://github.com/huggingface/safetensors) has 8 bytes with the length of its header, little-endian,
the header, and the numbers. The header is JSON. It has the type and the shape of each tensor and the place of
its numbers, and texts in `__metadata__`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from microgpt_lab.errors import UserError, printable
from microgpt_lab.options.files import msgspec_message, open_regular

LONGEST_HEADER = 10_000_000  # bytes
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # BF16: the upper half of F32


class Entry(msgspec.Struct):
    """What the header says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class Stored(NamedTuple):
    """The content of a file.

    shapes: the numbers of rows and columns of each tensor. A vector is one row; of more than two axes, all
        but the last are rows.
    metadata: texts by name.
    tensors: rows of numbers by name; empty if only the header was read.
    """

    shapes: dict[str, tuple[int, int]]
    metadata: dict[str, str]
    tensors: dict[str, list[list[float]]]


def write(path: Path, tensors: Mapping[str, Any], **metadata: str) -> None:
    """Write tensors, which have `tolist()`, in float64."""
    from safetensors.numpy import save  # an extra

    arrays = {name: np.array(x.tolist(), np.float64) for name, x in tensors.items()}
    path.write_bytes(save(arrays, {"format": "pt"} | metadata))  # transformers asks for the format


def read(path: Path, *, numbers: bool = True) -> Stored:
    """Read a file of floating-point tensors, or its header alone. UserError if it is not valid.

    The header is checked before any number is read, so that a file that lies about its size takes no memory.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, LONGEST_HEADER):
                raise UserError(
                    f"{path} is not a safetensors file, or is cut off: its header does not fit into it"
                )
            entries, metadata = parse_header(file.read(length), path)
            check_entries(entries, size - 8 - length, path)
            in_order = sorted(entries, key=lambda name: entries[name].data_offsets) if numbers else []
            found = {name: rows(file.read(nbytes(entries[name])), entries[name]) for name in in_order}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:  # the file has become shorter in the meantime, or the disk fails
        raise UserError(f"{path} cannot be read: {error}") from None
    shapes = {name: (prod(entry.shape[:-1]), columns(entry)) for name, entry in entries.items()}
    return Stored(shapes, metadata, {name: found[name] for name in entries if numbers})


def parse_header(content: bytes, path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the entries of all tensors by name, and the metadata. UserError if the header is not valid."""
    try:
        header = msgspec.json.decode(content, type=dict[str, Any])
        metadata = msgspec.convert(header.pop("__metadata__", None) or {}, dict[str, str])
        return msgspec.convert(header, dict[str, Entry]), metadata
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"{path} has no valid header of safetensors: {msgspec_message(error)}") from None


def check_entries(entries: dict[str, Entry], size: int, path: Path) -> None:
    """Raise UserError for an unknown type, or if the tensors do not fill `size` bytes without gaps."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        label = f"{path}: {printable(name)[:80]}"
        if entry.dtype not in TYPES:
            raise UserError(
                f"{label} has the type {printable(entry.dtype)[:20]}, not one of {', '.join(TYPES)}"
            )
        if any(axis < 0 for axis in entry.shape) or len(entry.shape) > 8:
            raise UserError(f"{label} has the shape {entry.shape!s:.60}")
        if entry.data_offsets != (end, end + nbytes(entry)):
            raise UserError(f"{label} does not lie where its header says: the file is damaged")
        end += nbytes(entry)
    if end != size:
        raise UserError(f"{path} has {size:,} bytes of numbers, where its header says {end:,}")


def nbytes(entry: Entry) -> int:
    """Return the number of bytes of a tensor."""
    return prod(entry.shape) * int(TYPES[entry.dtype][-1])


def rows(content: bytes, entry: Entry) -> list[list[float]]:
    """Return the numbers of a tensor as rows."""
    numbers = np.frombuffer(content, TYPES[entry.dtype])
    if entry.dtype == "BF16":
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float64).reshape(-1, columns(entry)).tolist() if numbers.size else []


def columns(entry: Entry) -> int:
    """Return the length of the last axis; 1 for a single number."""
    return entry.shape[-1] if entry.shape else 1
