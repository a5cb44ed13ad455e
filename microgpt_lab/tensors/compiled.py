"""Programs that backends compile, kept in the user's cache folder for later processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import tempfile
import zlib
from pathlib import Path
from typing import Any

LIMIT = 200_000_000  # bytes per backend; above it the least recently used programs are removed
CPU = re.compile(r"(vendor_id|cpu family|model|stepping|flags|Features|CPU \w+)\b.*")


def prepare(self: Any, trainer: Any) -> None:
    """Compile an evaluation and a step: `Backend.prepare` of backends that compile."""
    if trainer.held_out:
        trainer.validate()
    if trainer.steps:
        trainer.advance()


def file(backend: str, *everything: Any) -> Path:
    """Return where a program is kept. Its name is a hash of the CPU and of everything else it depends on."""
    import pooch

    key = hashlib.sha256(repr((everything, cpu())).encode()).hexdigest()
    return Path(pooch.os_cache("microgpt_lab"), backend, key)


def cpu() -> list[str]:
    """Identify the CPU, because machines can share a home folder and code for one may crash on another."""
    try:
        first_core = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return list(platform.uname())
    return [line for line in first_core.splitlines() if CPU.match(line)]


def load(path: Path) -> bytes:
    """Read a program that `save` wrote.

    OSError if there is none, and PermissionError if others may write to it or its folder, because it will be
    run. zlib.error if it is damaged.
    """
    if hasattr(os, "getuid"):
        for status in (path.parent.stat(), path.stat()):
            if status.st_uid != os.getuid() or status.st_mode & 0o022:
                raise PermissionError(path)
    program = zlib.decompress(path.read_bytes())  # verifies its checksum
    os.utime(path)
    return program


def save(path: Path, program: bytes) -> None:
    """Write to a temporary file and rename it, so that a reader finds the whole program or none."""
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(zlib.compress(program, 1))
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    shrink(path.parent)


def shrink(folder: Path) -> None:
    """Remove the least recently used files until the rest takes at most `LIMIT` bytes."""
    files = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # another process has removed it
            files.append((file.stat().st_mtime, file.stat().st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= LIMIT:
            break
        with contextlib.suppress(OSError):
            file.unlink()
        total -= size
