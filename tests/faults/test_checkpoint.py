"""Promise: a checkpoint is whole or known not to be, and there is always one."""

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
def two(tmp_path):
    """A folder with checkpoints of steps 1 and 2."""
    write(tmp_path, content(1))
    write(tmp_path, content(2))
    return tmp_path


def test_what_was_written_is_read_to_the_bit(two):
    facts, numbers, name = read(two, pytest.fail)
    assert facts["step"] == 2 and name == CURRENT
    weights = unflatten(facts["tensors"]["weights"], iter(numbers), tensor)
    assert str(weights["w"].tolist()) == "[[0.1, -0.0], [5e-324, 2.0]]"
    assert read(two / "nothing", pytest.fail) is None


def test_the_best_one_has_a_place_of_its_own(two):
    for step in (3, 4):
        write(two, content(step), BEST)
    steps = [read(two, pytest.fail, (name,)).facts["step"] for name in (CURRENT, PREVIOUS, BEST)]
    assert steps == [2, 1, 4]


def damaged_versions(whole):
    """Cut off at every length, and each bit turned round."""
    for length in range(len(whole)):
        yield whole[:length]
    for i in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[i // 8] ^= 1 << i % 8
        yield bytes(flipped)


def test_every_cut_and_every_flipped_bit_is_noticed():
    tries = list(damaged_versions(content(2)))
    assert len(tries) > 1400
    for version in tries:
        with pytest.raises(Damaged):
            decode(version)


def test_the_one_before_takes_its_place_with_a_warning(two):
    whole = (two / CURRENT).read_bytes()
    for version in random.Random(0).sample(list(damaged_versions(whole)), 50):
        (two / CURRENT).write_bytes(version)
        warnings = []
        facts, _, name = read(two, warnings.append)
        assert facts["step"] == 1 and name == PREVIOUS
        assert len(warnings) == 1 and "is damaged" in warnings[0] and "of step 1" in warnings[0]


def test_two_damaged_ones_are_an_error(two):
    for name in (CURRENT, PREVIOUS):
        (two / name).write_bytes((two / name).read_bytes()[:-1])
    with pytest.raises(UserError, match=r"checkpoint\.bin is damaged: .*; .*previous\.bin is damaged"):
        read(two, pytest.fail)


@settings(max_examples=500)
@given(st.binary(max_size=300), st.booleans())
@example(b"[" * 100_000, True)
@example(b'{"step": 1}\n1234567', True)
def test_any_bytes_are_a_checkpoint_or_damaged(body, disguised):
    if disguised:  # as one whose checksum is right
        checksum = hashlib.sha256(body).hexdigest().encode()
        body = b"microgpt_lab checkpoint 1 %s %d\n" % (checksum, len(body)) + body
    with contextlib.suppress(Damaged):
        decode(body)


DIES = """
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
    "A file that is killed when half of it is written."
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
def test_killed_at_any_point_a_whole_one_is_left(two, point):
    script = DIES.format(point=point, folder=str(two))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    facts, _, name = read(two, pytest.fail)
    assert facts["step"] == (3 if point in AFTER else 2)
    assert name == (PREVIOUS if point == "between renames" else CURRENT)
    write(two, content(4))  # what was left is in nobody's way
    assert read(two, pytest.fail).facts["step"] == 4


def test_what_cannot_be_written_leaves_what_there_is(two, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {file.name: file.read_bytes() for file in two.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(two, content(3))
    assert {file.name: file.read_bytes() for file in two.iterdir()} == before
