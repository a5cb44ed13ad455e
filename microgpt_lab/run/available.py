"""How much memory this process has, and how much more it can get."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def resident() -> int:
    """Return the bytes of memory that this process has. 0 where the system does not tell."""
    try:
        return int(read(Path("/proc/self/statm")).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError):
        return 0


def peak() -> int:
    """Return the most bytes of memory that this process has had. 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available() -> float:
    """Return the bytes of memory that this process can still get. Infinity where the system does not tell.

    On Linux: what the machine has free or can free, and no more than its control groups allow. Elsewhere: all
    memory of the machine.
    """
    try:
        lines = read(Path("/proc/meminfo")).splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return math.inf
    return min(free, *left_in_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")), math.inf)


def left_in_groups(groups: Path, root: Path) -> Iterator[int]:
    """Yield the bytes that each control group of this process, and of those around it, has left.

    groups: the file that names the groups of this process, of version 1 or 2.
    root: where control groups are mounted.
    """
    version1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    version2 = "memory.max", "memory.current", "inactive_file"
    with contextlib.suppress(OSError):
        for line in read(groups).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            top = root / controllers
            limit, usage, cache = version1 if controllers else version2
            folder = top / path.strip("/")
            for each in (folder, *folder.parents):
                with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
                    statistics = read(each / "memory.stat").split()
                    cached = dict(zip(statistics[::2], map(int, statistics[1::2])))[cache]
                    yield int(read(each / limit)) - int(read(each / usage)) + cached
                if each == top:
                    break


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
