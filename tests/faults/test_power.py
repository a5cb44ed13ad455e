"""Promise: after a power cut, the run's other files contain every step up to its checkpoint."""

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
def recorded_run(monkeypatch):
    """Train a run, and record what was flushed to the disk before each checkpoint and the summary."""
    synced, moments = {}, {}
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor):
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.setdefault(path.name, []).append(path.read_bytes() if path.is_file() else None)

    def noting_replace(part, target):
        if Path(target).name in (checkpoint.CURRENT, "summary.json"):
            on_disk = {name: contents[-1] for name, contents in synced.items()}
            present = {file.name: file.read_bytes() for file in Path(target).parent.iterdir()}
            moments.setdefault(Path(target).name, []).append((on_disk, present, part.name))
        return replace(part, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)

    def run(folder, *options):
        synced.clear(), moments.clear()
        execute(Run(compose([*OPTIONS, *options]), folder))
        return synced, moments

    return run


def test_all_files_are_on_the_disk_before_a_checkpoint_gets_its_name(recorded_run, tmp_path):
    synced, moments = recorded_run(tmp_path / "run", "callback.checkpoint.every=25")
    assert len(moments[checkpoint.CURRENT]) == 3  # of steps 25, 50 and 60
    for (on_disk, present, part), step in zip(moments[checkpoint.CURRENT], (25, 50, 60)):
        files = present.keys() - {checkpoint.CURRENT, checkpoint.PREVIOUS, ".lock"}
        assert {"config.yaml", "metrics.jsonl", "samples.txt", part} < files
        assert any(name.startswith("events.out.tfevents") for name in files)
        assert {name: on_disk[name] for name in files} == {name: present[name] for name in files}
        assert json.loads(present["metrics.jsonl"].splitlines()[-1])["step"] == step
    # A step alone flushes nothing.
    assert len(synced["metrics.jsonl"]) <= len(moments[checkpoint.CURRENT]) + 1


def test_all_files_are_on_the_disk_before_the_summary_gets_its_name(recorded_run, tmp_path):
    _, moments = recorded_run(tmp_path / "run", "callback=[jsonl,samples,tensorboard]")
    ((on_disk, present, _),) = moments["summary.json"]
    files = present.keys() - {".lock"}
    assert {"metrics.jsonl", "summary.json.part"} < files
    assert {name: on_disk[name] for name in files} == {name: present[name] for name in files}
