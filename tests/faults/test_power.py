"""Promise: a power cut leaves no checkpoint of a step that the run's other files do not reach."""

import json
import os
import sys
from pathlib import Path

import pytest

from microgpt_lab.options.compose import compose
from microgpt_lab.run import checkpoint
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run

OPTIONS = ["steps=60", "eval_every=5", "backend=numpy", "embed=4", "heads=1", "block_size=4"]
OPTIONS += ["train_docs=50", "eval_docs=2", "samples=2"]


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the names of open files")


@pytest.fixture
def watched(monkeypatch):
    """A real run; what the disk had been told to hold at each checkpoint, and at the end."""
    synced, moments = {}, {}
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor):
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.setdefault(path.name, []).append(path.read_bytes() if path.is_file() else None)

    def noting_replace(part, target):
        if Path(target).name in (checkpoint.CURRENT, "summary.json"):
            held = {name: contents[-1] for name, contents in synced.items()}
            there = {file.name: file.read_bytes() for file in Path(target).parent.iterdir()}
            moments.setdefault(Path(target).name, []).append((held, there, part.name))
        return replace(part, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)

    def run(folder, *options):
        synced.clear(), moments.clear()
        execute(Run(compose([*OPTIONS, *options]), folder))
        return synced, moments

    return run


def test_all_files_are_on_the_disk_before_a_checkpoint_gets_its_name(watched, tmp_path):
    synced, moments = watched(tmp_path / "run", "callback.checkpoint.every=25")
    assert len(moments[checkpoint.CURRENT]) == 3  # of steps 25, 50 and 60
    for (held, there, part), step in zip(moments[checkpoint.CURRENT], (25, 50, 60)):
        files = there.keys() - {checkpoint.CURRENT, checkpoint.PREVIOUS, ".lock"}
        assert {"config.yaml", "metrics.jsonl", "samples.txt", part} < files
        assert any(name.startswith("events.out.tfevents") for name in files)
        assert {name: held[name] for name in files} == {name: there[name] for name in files}
        assert json.loads(there["metrics.jsonl"].splitlines()[-1])["step"] == step
    # A step asks nothing of the disk.
    assert len(synced["metrics.jsonl"]) <= len(moments[checkpoint.CURRENT]) + 1


def test_all_files_are_on_the_disk_before_the_summary_gets_its_name(watched, tmp_path):
    _, moments = watched(tmp_path / "run", "callback=[jsonl,samples,tensorboard]")
    ((held, there, _),) = moments["summary.json"]
    files = there.keys() - {".lock"}
    assert {"metrics.jsonl", "summary.json.part"} < files
    assert {name: held[name] for name in files} == {name: there[name] for name in files}
