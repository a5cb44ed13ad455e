"""A cache of compiled programs on disk, in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import tempfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import pooch
from jax.experimental import serialize_executable

LIMIT = 200_000_000  # bytes; above it the least recently used programs are removed
VARIABLES = ("XLA_FLAGS", "NPROC", "LIBTPU_INIT_ARGS")
CPU = re.compile(r"(vendor_id|cpu family|model|stepping|flags|Features|CPU \w+)\b.*")


def compile_cached(lowered: Any) -> Any:
    """Return `lowered.compile()`, or load it if this or another process has compiled the same before.

    A folder that cannot be used is not an error: the program is compiled. This cache is off if the user sets
    JAX's own (JAX_COMPILATION_CACHE_DIR) or wants none (JAX_ENABLE_COMPILATION_CACHE=0). JAX's own is not
    the default, because it warns in every run after an interrupted write, warns if it cannot write, and
    loads programs that were compiled for another number of threads and may round differently.
    """
    config = jax.config.values
    if config["jax_compilation_cache_dir"] or not config["jax_enable_compilation_cache"]:
        return lowered.compile()
    path = folder() / key(lowered.as_text())
    with contextlib.suppress(Exception):  # missing, truncated, not the user's own, or unusable
        return load(path, lowered)
    program = lowered.compile()
    with contextlib.suppress(Exception):  # a full disk, say, or a program that calls Python functions
        save(path, serialize_executable.serialize(program)[0])
    return program


def folder() -> Path:
    return Path(pooch.os_cache("microgpt_lab"), "jax")


def key(text: str) -> str:
    """Hash all that a compiled program depends on: source, compiler and its settings, machine."""
    devices = [(device.platform, device.device_kind, device.id) for device in jax.devices()]
    settings = [os.environ.get(name) for name in VARIABLES], sorted(jax.config.values.items())
    versions = version("jax"), version("jaxlib"), jax.devices()[0].client.platform_version
    everything = repr((text, versions, settings, devices, cpu()))
    return hashlib.sha256(everything.encode()).hexdigest()


def cpu() -> Any:
    """Identify the CPU, because machines can share a home folder and code for one may crash on another."""
    try:
        first_core = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.uname()
    return [line for line in first_core.splitlines() if CPU.match(line)]


def load(path: Path, lowered: Any) -> Any:
    """Load a program. PermissionError if others may write to its folder, because it will be run."""
    if hasattr(os, "getuid"):
        status = path.parent.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError(path.parent)
    serialized = zlib.decompress(path.read_bytes())  # verifies its checksum
    program = serialize_executable.deserialize_and_load(serialized, lowered.in_tree, lowered.out_tree)
    os.utime(path)
    return program


def save(path: Path, serialized: bytes) -> None:
    """Write to a temporary file and rename it, so that a reader finds the whole program or none."""
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(zlib.compress(serialized, 1))
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
