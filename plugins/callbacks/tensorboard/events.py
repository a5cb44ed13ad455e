"""Write TensorBoard's event files: a step is one record, and one write, however many figures it has.

tensorboardX's writers flush to the disk after each record, or keep records in a queue that a kill
loses. Messages other than scalars are tensorboardX's; here they are framed:

    length (8 bytes)   checksum of the length (4)   Event (protocol buffer)   checksum of the Event (4)

The numbers are little-endian, the checksums masked CRC-32C (TensorFlow's `record_writer.h`).
"""

from __future__ import annotations

import functools
import math
import os
import socket
import struct
import time
from pathlib import Path

SUFFIX = ".lab"  # of file names; others may write event files into the folder too
CONTENTS = {"file_version": 3, "summary": 5, "session_log": 7}  # fields of Event
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


class Events:
    """A new event file of a run. The kernel has an event when `write` returns, so that no kill takes it."""

    def __init__(self, folder: Path):
        # TensorBoard reads a folder's files in the order of their names.
        earlier = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
        second = max([int(time.time()), *(int(text) + 1 for text in earlier if text.isdecimal())])
        self.path = folder / f"events.out.tfevents.{second}.{socket.gethostname()}{SUFFIX}"
        self.file = self.path.open("xb")
        self.write(file_version=b"brain.Event:2")

    @property
    def size(self) -> int:
        """In bytes."""
        return self.file.tell()

    def write(self, step: int = 0, **content: bytes) -> None:
        """Append an event; its content is a serialized message, by the name that CONTENTS has for it."""
        self.file.write(framed(event(time.time(), step, **content)))
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def written(folder: Path) -> list[Path]:
    """The event files that are the lab's own, in their order; links are not."""
    found = sorted(folder.glob(f"events.out.tfevents.*{SUFFIX}"))
    return [path for path in found if path.is_file() and not path.is_symlink()]


def take_back(files: list[Path], name: str, size: int) -> None:
    """Remove what was written after the file of this name had this size."""
    for path in files:
        if path.name > name:
            path.unlink()
        elif path.name == name and path.stat().st_size > size:
            os.truncate(path, size)


def event(wall_time: float, step: int, **content: bytes) -> bytes:
    """A serialized Event."""
    begin = key(1, FIXED64) + struct.pack("<d", wall_time)
    if step:
        begin += key(2, VARINT) + varint(step)
    return begin + b"".join(message(CONTENTS[name], body) for name, body in content.items())


def scalars(figures: dict[str, float]) -> bytes:
    """A serialized Summary with a value for each tag, in float32."""
    return b"".join([value_head(tag) + float32(x) for tag, x in figures.items()])


@functools.lru_cache(maxsize=256)
def value_head(tag: str) -> bytes:
    """What stands before a scalar: the key and length of a Summary.Value, its tag, the scalar's key."""
    named = message(1, tag.encode()) + key(2, FIXED32)
    return key(1, BYTES) + varint(len(named) + 4) + named


def float32(x: float) -> bytes:
    try:
        return struct.pack("<f", x)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, x))


def message(field: int, content: bytes) -> bytes:
    return key(field, BYTES) + varint(len(content)) + content


def key(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have their eighth bit set."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def framed(record: bytes) -> bytes:
    """The record as it stands in a file."""
    length = struct.pack("<Q", len(record))
    return length + checksum(length) + record + checksum(record)


def checksum(data: bytes) -> bytes:
    """The CRC-32C (Castagnoli et al., 1993) of the data, rotated and shifted, as records have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def remainder(byte: int) -> int:
    """The CRC-32C of a single byte, lowest bit first."""
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


TABLE = [remainder(byte) for byte in range(256)]
