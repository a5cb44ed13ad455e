"""Count in a run's folder how often its loss on test documents was looked at.

A figure that decides something is no test of it any more, so each look is counted, and shown.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from filelock import FileLock

from microgpt_lab.options.files import check_regular
from microgpt_lab.run.checkpoint import sync
from microgpt_lab.run.folder import read

LOOKS, LOCK = "test_looks.json", ".test_looks.lock"  # not the lock of the run, which may be training
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def count_look(folder: Path) -> int:
    """Count a look, and return its number. Concurrent processes are counted one after the other.

    The file is written completely or not at all. UserError if it cannot be read.
    """
    path, part = folder / LOOKS, folder / f"{LOOKS}.part"
    for each in (folder / LOCK, path, part):
        check_regular(each)
    with FileLock(folder / LOCK):
        looks = (read(path).get("looks", 0) if path.exists() else 0) + 1
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"looks": looks}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync(folder)
    return looks


def ordinal(number: int) -> str:
    """Write which one of several: first, second … tenth, 11th, 12th …"""
    if number <= len(ORDINALS):
        return ORDINALS[number - 1]
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
