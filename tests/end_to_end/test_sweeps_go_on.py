"""Sweeps that were stopped, killed or repeated: finished jobs stay unchanged, and missing jobs run."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from arguments import keep_last
from filelock import FileLock
from test_sweeps import SWEEP, results, summaries

from microgpt_lab.sweeps.folder import JobEntry
from microgpt_lab.sweeps.job import INTERRUPTED, Job, start_fork


def test_a_repeated_or_larger_sweep_runs_only_missing_jobs(lab, tmp_path, swept):
    first = results(tmp_path / "sweep")
    times = {file: file.stat().st_mtime_ns for file in tmp_path.glob("sweep/*/summary.json")}
    broken = next(tmp_path.glob("sweep/*seed=1*/summary.json"))
    broken.unlink()  # as if the job had been killed
    done = lab(*SWEEP, "seed=range(2)", "activation=relu,gelu", check=0)
    assert done.stdout.count("already finished") == 1
    assert "4 ok in" in done.stdout
    again = results(tmp_path / "sweep")
    assert first.items() <= again.items() and len(again) == 4
    untouched = [file for file, time in times.items() if file.is_file() and file.stat().st_mtime_ns == time]
    assert len(untouched) == 1


def test_a_killed_sweep_resumes(lab, tmp_path):
    three = ("seed=range(3)", "steps=800", "eval_every=0", "callback=[jsonl,console,checkpoint]")
    command = [sys.executable, "-P", "-m", "microgpt_lab", *keep_last((*SWEEP, *three))]
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, start_new_session=True, stdout=subprocess.DEVNULL
    )
    for _ in range(600):
        if summaries(tmp_path / "sweep") and len(list(tmp_path.glob("sweep/*/metrics.jsonl"))) == 2:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(summaries(tmp_path / "sweep")) in (1, 2)  # the second may have ended before the signal
    done = lab(*SWEEP, *three, check=0)
    assert "already finished" in done.stdout and "3 ok in" in done.stdout
    lab(*SWEEP, *three, "hydra.sweep.dir=whole", check=0)
    assert results(tmp_path / "sweep") == results(tmp_path / "whole")


def test_a_refused_job_keeps_its_checkpoint(lab, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("anna\nbob\neve\n" * 10)
    sweep = (*SWEEP, "seed=1,2", "dataset=text", "dataset.path=data.txt")
    lab(*sweep, check=0)
    (run,) = tmp_path.glob("sweep/*seed=2*")
    (run / "summary.json").unlink()
    before = (run / "checkpoint.bin").read_bytes()
    data.rename(tmp_path / "away.txt")
    assert "1 ok, 1 refused" in lab(*sweep, check=2).stdout
    assert (run / "checkpoint.bin").read_bytes() == before
    (tmp_path / "away.txt").rename(data)
    assert "2 ok" in lab(*sweep, check=0).stdout
    assert json.loads((run / "summary.json").read_text())["resumed"] == [4]


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, if an earlier test has loaded it
def test_a_job_finished_by_another_process_is_left_unchanged(lab, tmp_path):
    lab(*SWEEP, "seed=1", check=0)
    (folder,) = tmp_path.glob("sweep/*seed=1*")
    (folder / "checkpoint.bin").unlink()
    (folder / "notes.txt").write_text("mine")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    run = Job(config, tmp_path / "sweep" / "fresh", entry=JobEntry(tmp_path / "sweep", config))
    (process := start_fork(run)).join()
    assert process.exitcode == 0
    assert (folder / "notes.txt").exists() and not run.folder.exists()


def test_a_job_running_in_another_process_is_left_unchanged(lab, swept):
    run = next(swept.glob("*seed=1*"))
    (run / "summary.json").unlink()
    with FileLock(run / ".lock"):
        done = lab(*SWEEP, "seed=range(2)", check=1)
    assert "is running in another process" in done.stdout and (run / "checkpoint.bin").exists()
    assert "change the sweep" in lab("resume", str(run), "steps=9", "--force", check=2).stderr
    lab("resume", str(run), check=0)
    assert "2 ok in" in lab(*SWEEP, "seed=range(2)", check=0).stdout


def test_a_refused_job_does_not_change_the_run_of_another_job(lab, tmp_path):
    """Two jobs have the same folder name: the file of the second does not exist."""
    (tmp_path / "a b.txt").write_text("ab\nba\nbb\naa\n" * 5)
    paths = "dataset.path='a b.txt','a-b.txt'"
    lab(*SWEEP, "dataset=text", paths, check=2)
    assert sorted(found["status"] for found in summaries(tmp_path / "sweep").values()) == ["ok", "refused"]
    again = lab(*SWEEP, "dataset=text", paths, check=2)
    assert "already finished" in again.stdout and len(summaries(tmp_path / "sweep")) == 2


def test_a_killed_sweep_ends_its_job(tmp_path):
    command = [sys.executable, "-P", "-m", "microgpt_lab", *keep_last((*SWEEP, "seed=0,1", "steps=1000000"))]
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(600):
        if metrics := list(tmp_path.glob("sweep/*/metrics.jsonl")):
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(0.5)
    size = metrics[0].stat().st_size
    time.sleep(1)
    assert metrics[0].stat().st_size == size


ORPHAN = """
import multiprocessing, os, time
from pathlib import Path
from microgpt_lab.options.compose import compose
from microgpt_lab.sweeps.folder import JobEntry
from microgpt_lab.sweeps.job import Job, execute_job

config = compose(["steps=1", "eval_docs=2", "samples=1", "callback=[jsonl]"])
job, sweep = Job(config, Path("sweep/job"), entry=JobEntry(Path("sweep"), config)), os.getpid()
job.entry.path.parent.mkdir(parents=True)

def late():
    while os.getppid() == sweep:
        time.sleep(0.01)
    Path("status").write_text(str(execute_job(job)))
    os._exit(0)

multiprocessing.get_context("fork").Process(target=late).start()
os._exit(0)
"""


def test_a_job_that_begins_after_its_sweep_was_killed_does_not_run(tmp_path):
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-P", "-c", ORPHAN], cwd=tmp_path, env=env, check=True)
    for _ in range(400):
        if (tmp_path / "status").exists():
            break
        time.sleep(0.05)
    assert (tmp_path / "status").read_text() == str(INTERRUPTED) and not (tmp_path / "sweep" / "job").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_sweep_ended_by_a_signal_resumes(lab, tmp_path, number, status):
    grid = ("seed=range(2)", "steps=700", "eval_every=0", "callback=[jsonl,console,checkpoint]")
    command = [sys.executable, "-P", "-m", "microgpt_lab", *keep_last((*SWEEP, *grid))]
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    while not any(path.stat().st_size for path in tmp_path.glob("sweep/*/metrics.jsonl")):
        time.sleep(0.01)  # from its first step on, a run answers signals
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status and "Traceback" not in errors
    found = summaries(tmp_path / "sweep").values()
    assert {job["status"] for job in found} == {"interrupted"} and all(job["steps"] < 700 for job in found)
    lab(*SWEEP, *grid, check=0)
    lab(*SWEEP, *grid, "hydra.sweep.dir=whole", check=0)
    assert results(tmp_path / "sweep") == results(tmp_path / "whole")
