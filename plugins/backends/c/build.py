"""Find a C compiler, compile a source text into a shared library, and load it."""

from __future__ import annotations

import _ctypes
import atexit
import contextlib
import ctypes
import errno
import functools
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path

import pooch

from microgpt_lab import UserError
from microgpt_lab.registry.extras import install
from microgpt_lab.tensors import compiled

# -O3 compiles twice as long, for steps that are at most 7 % faster. -ffast-math gives wrong losses, since it
# assumes that no number is infinite. Without -fno-math-errno, loops with sqrt and exp are not vectorised.
FLAGS = ("-O2", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-shared")
FLAGS += () if sys.platform == "win32" else ("-fPIC",)
AVX2 = ("-mavx2", "-mfma", "-mtune=haswell")  # x86-64-v3 in words that gcc, clang and zig all know
UNLOAD = _ctypes.FreeLibrary if sys.platform == "win32" else _ctypes.dlclose
LIBRARIES = ("-lm", "-lpthread")
PROBE = "#include <math.h>\n#include <pthread.h>\n#include <stdint.h>\n#include <string.h>\nint one = 1;\n"


def compiler() -> list[str] | None:
    """Return the command of the C compiler: $CC, cc, gcc, clang, or else the zig of the extra `c`.

    None if there is no compiler. UserError if $CC does not run.
    """
    if cc := os.environ.get("CC", "").strip():
        command = located(cc)
        if command is None:
            raise UserError(f"CC={cc} is not a C compiler that runs here: correct it, or unset CC")
        return command
    candidates = ["cc", "gcc", "clang"]
    if importlib.util.find_spec("ziglang"):
        candidates.append(shlex.join([sys.executable, "-P", "-m", "ziglang", "cc"]))
    return next(filter(None, map(located, candidates)), None)


def located(line: str) -> list[str] | None:
    """Return the words of a command, with the full path of its program; None if it does not run."""
    with contextlib.suppress(ValueError):  # a quote that is not closed
        program, *options = shlex.split(line)
        command = [shutil.which(program) or "", *options]
        return command if command[0] and version(*command) else None
    return None


@functools.cache
def version(*command: str) -> str:
    """Return what a compiler says of its version; '' if it does not run (as on macOS without its tools)."""
    with contextlib.suppress(OSError):
        done = run(command, "--version")
        return done.stdout if done.returncode == 0 else ""
    return ""


def run(
    command: Sequence[str], *arguments: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the compiler in a folder, with messages in English."""
    more = {"LC_ALL": "C"}
    if "ziglang" in command:
        more["ZIG_GLOBAL_CACHE_DIR"] = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or zig_cache()
    line, env = [*command, *arguments], os.environ | more
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, encoding="utf-8", errors="replace")


@functools.cache
def zig_cache() -> str:
    """Return where zig keeps its C library: in the user's cache folder, or else in one for this process."""
    with contextlib.suppress(OSError):
        folder = Path(pooch.os_cache("zig"))
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return str(folder)
    temporary = tempfile.mkdtemp(prefix="microgpt_lab_zig_")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary


def flags() -> tuple[str, ...]:
    """Return the options of the compiler for this CPU."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return FLAGS
    if not sys.platform.startswith("linux"):
        return (*FLAGS, "-march=native")
    words = " ".join(compiled.cpu()).split()
    return (*FLAGS, *(AVX2 if "avx2" in words and "fma" in words else ()))


def load(text: str) -> ctypes.CDLL:
    """Compile a C source text into a shared library, unless it has been compiled before, and load it.

    UserError if there is no compiler, or none that works. RuntimeError if the text is not correct C.
    """
    command = compiler()
    if command is None:
        raise UserError(f"backend=c needs a C compiler: install gcc or clang, or {install('c')}")
    path = compiled.file("c", text, command, version(*command), flags(), LIBRARIES)
    # On Windows, the folder of a library that is in use cannot be removed.
    with tempfile.TemporaryDirectory(prefix="microgpt_lab_", ignore_cleanup_errors=True) as folder:
        library = Path(folder, "microgpt.dll" if sys.platform == "win32" else "microgpt.so")
        with contextlib.suppress(OSError, zlib.error):  # missing, damaged, not the user's own, or unusable
            library.write_bytes(compiled.load(path))
            return opened(library)
        build(text, command, library)
        with contextlib.suppress(OSError):  # a full disk, say, or a cache folder that is read-only
            compiled.save(path, library.read_bytes())
        return opened(library)


def opened(library: Path) -> ctypes.CDLL:
    """Load a library into this process, until nothing uses it. UserError if its folder is mounted noexec."""
    try:
        loaded = ctypes.CDLL(str(library))
        # ctypes never unloads one, but a sweep of thousands of settings would reach the limit of mappings.
        weakref.finalize(loaded, UNLOAD, loaded._handle).atexit = False
        return loaded
    except OSError as error:
        if "failed to map segment" not in str(error):
            raise
        advice = "set TMPDIR to a folder that permits it"
        raise UserError(f"{library.parent.parent} does not permit running programs: {advice}") from None


def build(text: str, command: list[str], library: Path) -> None:
    """Compile a source text into a library.

    UserError if the compiler cannot compile a line of declarations either. RuntimeError if only this text is
    at fault.
    """
    failure = compile_text(text, command, library)
    if not failure:
        return
    if shutil.disk_usage(library.parent).free < 1_000_000:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(library.parent))
    if probe := compile_text(PROBE, command, library):
        lines = probe.splitlines()
        error = next((line for line in lines if "error" in line), lines[0])
        raise UserError(f"{shlex.join(command)} cannot compile C: {error}; set CC to another compiler")
    raise RuntimeError(f"{shlex.join(command)}:\n{failure}")


def compile_text(text: str, command: list[str], library: Path) -> str:
    """Run the compiler. Return its messages if it has failed, else ''."""
    library.with_suffix(".c").write_text(text, encoding="utf-8")
    done = run(command, *flags(), "microgpt.c", "-o", library.name, *LIBRARIES, folder=library.parent)
    failed = done.returncode or not library.exists()
    return (done.stderr or f"exit status {done.returncode}, no library") if failed else ""
