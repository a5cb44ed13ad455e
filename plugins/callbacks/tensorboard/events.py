"""Write TensorBoard's event files, with one record and one write per step.

This module exists because tensorboardX's writers either flush to the disk after each record, or keep
records in a queue that is lost when the process is killed. tensorboardX still makes the messages other
than scalars. Each record in a file is:

    length (8 bytes)   checksum of the length (4)   Event (protocol buffer)   checksum of the Event (4)

The numbers are little-endian. The checksums are masked CRC-32C (TensorFlow's `record_writer.h`).
"""

from __future__ import annotations

import functools
import math
import os
import socket
import struct
import time
from pathlib import Path

SUFFIX = ".lab"  # of our file names, because other programs may write event files into the folder
CONTENTS = {"file_version": 3, "summary": 5, "session_log": 7}  # fields of Event
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


class Events:
    """A new event file of a run. When `write` returns, the kernel has the event, so a kill cannot lose it."""

    def __init__(self, folder: Path):
        # TensorBoard reads the files of a folder in the order of their names.
        earlier = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
        second = max([int(time.time()), *(int(text) + 1 for text in earlier if text.isdecimal())])
        self.path = folder / f"events.out.tfevents.{second}.{socket.gethostname()}{SUFFIX}"
        self.file = self.path.open("xb")
        self.write(file_version=b"brain.Event:2")

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.file.tell()

    def write(self, step: int = 0, **content: bytes) -> None:
        """Append an event. Its content is a serialized message, under its name in CONTENTS."""
        self.file.write(frame(event(time.time(), step, **content)))
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def own_files(folder: Path) -> list[Path]:
    """The event files that the lab wrote, in the order of their names, without symbolic links."""
    paths = sorted(folder.glob(f"events.out.tfevents.*{SUFFIX}"))
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def remove_later(files: list[Path], name: str, size: int) -> None:
    """Remove everything that was written after the file with this name had this size in bytes."""
    for path in files:
        if path.name > name:
            path.unlink()
        elif path.name == name and path.stat().st_size > size:
            os.truncate(path, size)


def event(wall_time: float, step: int, **content: bytes) -> bytes:
    """Serialize an Event."""
    head = key(1, FIXED64) + struct.pack("<d", wall_time)
    if step:
        head += key(2, VARINT) + varint(step)
    return head + b"".join(message(CONTENTS[name], body) for name, body in content.items())


def scalars(figures: dict[str, float]) -> bytes:
    """Serialize a Summary with a float32 value for each tag."""
    return b"".join([value_head(tag) + float32(x) for tag, x in figures.items()])


@functools.lru_cache(maxsize=256)
def value_head(tag: str) -> bytes:
    """The bytes before a scalar: key and length of a Summary.Value, its tag, and the key of the scalar."""
    tag_and_key = message(1, tag.encode()) + key(2, FIXED32)
    return key(1, BYTES) + varint(len(tag_and_key) + 4) + tag_and_key


def float32(x: float) -> bytes:
    """Little-endian bytes of x, or of infinity where x is too large for float32."""
    try:
        return struct.pack("<f", x)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, x))


def message(field: int, content: bytes) -> bytes:
    """A field that contains bytes: its key, their number, and the bytes."""
    return key(field, BYTES) + varint(len(content)) + content


def key(field: int, wire_type: int) -> bytes:
    """The number and the wire type of a field."""
    return varint(field << 3 | wire_type)


def varint(number: int) -> bytes:
    """Seven bits per byte, lowest bits first. All bytes except the last have their eighth bit set."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def frame(record: bytes) -> bytes:
    """The bytes of a record in a file: its length, its content and their checksums."""
    length = struct.pack("<Q", len(record))
    return length + checksum(length) + record + checksum(record)


def checksum(data: bytes) -> bytes:
    """The masked (rotated and shifted) CRC-32C of the data (Castagnoli et al., 1993)."""
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
