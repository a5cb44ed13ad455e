"""Write a file or a folder that is complete as soon as it has its name."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from microgpt_lab.run.checkpoint import sync


@contextlib.contextmanager
def new(target: Path, is_folder: bool) -> Iterator[Path]:
    """Yield a path beside the target. What is written there gets the target's name once it is complete."""
    part = target.with_name(f".{target.name[:80]}.{os.getpid()}.part")
    try:
        if is_folder:
            part.mkdir()
        yield part
        for path in (*part.rglob("*"), part) if is_folder else (part,):
            sync(path)
        part.replace(target)
        sync(target.parent)
    finally:
        if is_folder:
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
