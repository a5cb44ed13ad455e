"""Promise: a damaged checkpoint is always detected, and a whole one always exists."""

import contextlib
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgpt_lab import UserError, part
from microgpt_lab.run.checkpoint import (
    BEST,
    CURRENT,
    PREVIOUS,
    Damaged,
    decode,
    encode,
    read,
    unflatten,
    write,
)

tensor = part("backend", "python").tensor


def content(step):
    return encode({"step": step}, {"weights": {"w": tensor([[0.1, -0.0], [5e-324, step]])}})


@pytest.fixture
def two_checkpoints(tmp_path):
    """Folder with checkpoints of steps 1 and 2."""
    write(tmp_path, content(1))
    write(tmp_path, content(2))
    return tmp_path


def test_a_checkpoint_is_read_as_it_was_written(two_checkpoints):
    facts, numbers, name = read(two_checkpoints, pytest.fail)
    assert facts["step"] == 2 and name == CURRENT
    weights = unflatten(facts["tensors"]["weights"], iter(numbers), tensor)
    assert str(weights["w"].tolist()) == "[[0.1, -0.0], [5e-324, 2.0]]"
    assert read(two_checkpoints / "nothing", pytest.fail) is None


def test_the_best_checkpoint_has_a_file_of_its_own(two_checkpoints):
    for step in (3, 4):
        write(two_checkpoints, content(step), BEST)
    steps = [read(two_checkpoints, pytest.fail, (name,)).facts["step"] for name in (CURRENT, PREVIOUS, BEST)]
    assert steps == [2, 1, 4]


def damaged_versions(whole):
    """Yield the content truncated at every length, and with each bit flipped."""
    for length in range(len(whole)):
        yield whole[:length]
    for i in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[i // 8] ^= 1 << i % 8
        yield bytes(flipped)


def test_every_truncation_and_every_flipped_bit_is_detected():
    tries = list(damaged_versions(content(2)))
    assert len(tries) > 1400
    for version in tries:
        with pytest.raises(Damaged):
            decode(version)


def test_the_previous_checkpoint_replaces_a_damaged_one_with_a_warning(two_checkpoints):
    whole = (two_checkpoints / CURRENT).read_bytes()
    for version in random.Random(0).sample(list(damaged_versions(whole)), 50):
        (two_checkpoints / CURRENT).write_bytes(version)
        warnings = []
        facts, _, name = read(two_checkpoints, warnings.append)
        assert facts["step"] == 1 and name == PREVIOUS
        assert len(warnings) == 1 and "is damaged" in warnings[0] and "of step 1" in warnings[0]


def test_two_damaged_checkpoints_are_an_error(two_checkpoints):
    for name in (CURRENT, PREVIOUS):
        (two_checkpoints / name).write_bytes((two_checkpoints / name).read_bytes()[:-1])
    with pytest.raises(UserError, match=r"checkpoint\.bin is damaged: .*; .*previous\.bin is damaged"):
        read(two_checkpoints, pytest.fail)


@settings(max_examples=500)
@given(st.binary(max_size=300), st.booleans())
@example(b"[" * 100_000, True)
@example(b'{"step": 1}\n1234567', True)
def test_any_bytes_are_a_checkpoint_or_damaged(body, disguised):
    if disguised:  # with a valid header and checksum
        checksum = hashlib.sha256(body).hexdigest().encode()
        body = b"microgpt_lab checkpoint 1 %s %d\n" % (checksum, len(body)) + body
    with contextlib.suppress(Damaged):
        decode(body)


KILLED_SCRIPT = """
import os
from pathlib import Path
from microgpt_lab.run import checkpoint

def killed(*args, **kwargs):
    os.kill(os.getpid(), 9)

def after(function):
    return lambda *args, **kwargs: (function(*args, **kwargs), killed())

calls = 0
def at(number, function, die):
    def call(*args, **kwargs):
        global calls
        calls += 1
        return die(*args, **kwargs) if calls == number else function(*args, **kwargs)
    return call

class Opened:
    "A file that kills its process after writing half of its content."
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *args): self.file.close()
    def write(self, content):
        self.file.write(content[:50]); self.file.flush(); killed()

if {point!r} == "before write": Path.open = killed
if {point!r} == "half written": Path.open = lambda self, mode: Opened(open(self, mode))
if {point!r} == "after write": os.fsync = killed
if {point!r} == "after fsync": os.fsync = after(os.fsync)
if {point!r} == "between renames": Path.replace = after(Path.replace)
if {point!r} == "after rename": Path.replace = at(2, Path.replace, after(Path.replace))
if {point!r} == "after the folder's fsync": os.fsync = at(2, os.fsync, after(os.fsync))
checkpoint.write(Path({folder!r}), checkpoint.encode({{"step": 3}}, {{}}))
"""
BEFORE = "before write", "half written", "after write", "after fsync", "between renames"
AFTER = "after rename", "after the folder's fsync"


@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_a_kill_at_any_point_leaves_a_whole_checkpoint(two_checkpoints, point):
    script = KILLED_SCRIPT.format(point=point, folder=str(two_checkpoints))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    facts, _, name = read(two_checkpoints, pytest.fail)
    assert facts["step"] == (3 if point in AFTER else 2)
    assert name == (PREVIOUS if point == "between renames" else CURRENT)
    write(two_checkpoints, content(4))  # leftover files do not prevent the next checkpoint
    assert read(two_checkpoints, pytest.fail).facts["step"] == 4


def test_a_failed_write_leaves_the_existing_checkpoints(two_checkpoints, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {file.name: file.read_bytes() for file in two_checkpoints.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(two_checkpoints, content(3))
    assert {file.name: file.read_bytes() for file in two_checkpoints.iterdir()} == before
