"""Compiled programs in the user's cache folder, where later processes find them."""

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

LIMIT = 200_000_000  # bytes; beyond it what was used longest ago goes
VARIABLES = ("XLA_FLAGS", "NPROC", "LIBTPU_INIT_ARGS")
CPU = re.compile(r"(vendor_id|cpu family|model|stepping|flags|Features|CPU \w+)\b.*")


def compiled(lowered: Any) -> Any:
    """What `lowered.compile()` returns, loaded if this or another process has compiled the same before.

    A folder that cannot be used is no error: it compiles. So it does, with JAX's own cache, for a user
    who has set that one (JAX_COMPILATION_CACHE_DIR), and for one who wants none
    (JAX_ENABLE_COMPILATION_CACHE=0). JAX's is not taken unasked. A write that a kill has cut short makes it
    warn at every run from then on; it warns where it cannot write; and it takes programs that were compiled
    for another number of threads, which may round otherwise.
    """
    chosen = jax.config.values
    if chosen["jax_compilation_cache_dir"] or not chosen["jax_enable_compilation_cache"]:
        return lowered.compile()
    path = folder() / key(lowered.as_text())
    with contextlib.suppress(Exception):  # not there, not whole, not ours, of no use
        return load(path, lowered)
    program = lowered.compile()
    with contextlib.suppress(Exception):  # no room, say, or it calls functions of this process
        save(path, serialize_executable.serialize(program)[0])
    return program


def folder() -> Path:
    return Path(pooch.os_cache("microgpt_lab"), "jax")


def key(text: str) -> str:
    """All that a compiled program depends on: the source, the compiler and its settings, the machine."""
    devices = [(device.platform, device.device_kind, device.id) for device in jax.devices()]
    settings = [os.environ.get(name) for name in VARIABLES], sorted(jax.config.values.items())
    versions = version("jax"), version("jaxlib"), jax.devices()[0].client.platform_version
    whole = repr((text, versions, settings, devices, cpu()))
    return hashlib.sha256(whole.encode()).hexdigest()


def cpu() -> Any:
    """What tells machines apart that share a home folder: code for one may crash on another."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.uname()
    return [line for line in first.splitlines() if CPU.match(line)]


def load(path: Path, lowered: Any) -> Any:
    """Whoever writes into the folder writes programs that are run: nobody else may."""
    if hasattr(os, "getuid"):
        status = path.parent.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError(path.parent)
    whole = zlib.decompress(path.read_bytes())  # which ends in a checksum
    program = serialize_executable.deserialize_and_load(whole, lowered.in_tree, lowered.out_tree)
    os.utime(path)
    return program


def save(path: Path, whole: bytes) -> None:
    """Written beside and renamed, so that who reads it finds all of it or nothing."""
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(zlib.compress(whole, 1))
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    shrink(path.parent)


def shrink(folder: Path) -> None:
    """Remove files, those used longest ago first, until no more than `LIMIT` is taken."""
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
