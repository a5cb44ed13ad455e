"""Sweeps as a user has them: what becomes of each job, on disk and on the screen, and what a report says."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import yaml
from conftest import ROOT
from filelock import FileLock

from microgpt_lab.job import attempt, in_a_fork
from microgpt_lab.record import Run
from microgpt_lab.sweep import Place

SHORT = ("steps=4", "eval_docs=3", "samples=2", "embed=8", "eval_every=2", "backend=numpy")
SWEEP = ("-m", "hydra.sweep.dir=sweep", *SHORT)


def summaries(folder):
    return {file.parent.name: json.loads(file.read_text()) for file in folder.glob("*/summary.json")}


def results(folder):
    """What must be the same however the jobs were run."""
    return {
        tuple(sorted(name.split(","))): (found["loss/val"], found["samples"])
        for name, found in summaries(folder).items()
    }


def plugin(tmp_path, text):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "mine.py").write_text(text)
    return {"MICROGPT_LAB_PLUGINS": str(folder)}


def test_a_sweep_has_a_line_and_a_folder_a_job(lab, tmp_path):
    done = lab(*SWEEP, "activation=relu,gelu", "seed=range(2)", check=0)
    *lines, last = done.stdout.splitlines()
    assert [re.match(r"✓ \[(\d/4)", line)[1] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("left]" in line for line in lines[:3])
    assert last == "4 ok in sweep"
    assert {found["status"] for found in summaries(tmp_path / "sweep").values()} == {"ok"}


PARTS = """
import os
from microgpt_lab import hookimpl

def square(x):
    return x * x

def dies(x):
    os.kill(os.getpid(), 9)

def fails(step, steps):
    return 1.0 if step in (0, 2, 3) else {}["what it needs at step 1"]

@hookimpl
def activations():
    return [square, dies]

@hookimpl
def schedulers():
    return [fails]
"""


def test_failing_diverging_dying_and_refused_jobs_are_rows(lab, tmp_path):
    env = plugin(tmp_path, PARTS)
    short = ("backend=python", "optimizer.lr=0.01,1e300,-1", "activation=relu,dies", "scheduler=linear,fails")
    done = lab(*SWEEP, *short, env=env, check=2)
    found = summaries(tmp_path / "sweep")
    assert len(found) == 12 and "Traceback" not in done.stderr

    statuses = {
        tuple(re.search(f"{key}=([^,]+)", name)[1] for key in ("activation", "scheduler", "lr")): summary[
            "status"
        ]
        for name, summary in found.items()
    }
    assert statuses["relu", "linear", "0.01"] == "ok"
    assert statuses["relu", "linear", "1e+300"] == "diverged"
    assert {status for (*_, lr), status in statuses.items() if lr == "-1"} == {"refused"}
    assert statuses["relu", "fails", "0.01"] == "failed"
    assert {status for (name, _, lr), status in statuses.items() if name == "dies" and lr != "-1"} == {
        "killed"
    }
    assert "2 diverged, 1 failed, 4 killed, 1 ok, 4 refused" in done.stdout
    failed = next(tmp_path.glob("sweep/*lr=0.01,activation=relu,scheduler=fails/log.txt"))
    assert "what it needs" in failed.read_text()


def test_the_same_sweep_again_does_what_is_missing_and_a_wider_one_reuses(lab, tmp_path):
    lab(*SWEEP, "activation=relu", "seed=range(2)", check=0)
    first = results(tmp_path / "sweep")
    when = {file: file.stat().st_mtime_ns for file in tmp_path.glob("sweep/*/summary.json")}
    broken = next(tmp_path.glob("sweep/*seed=1*/summary.json"))
    broken.unlink()  # as if it had been killed
    done = lab(*SWEEP, "seed=range(2)", "activation=relu,gelu", check=0)
    assert done.stdout.count("is there already") == 1
    assert "4 ok in" in done.stdout
    again = results(tmp_path / "sweep")
    assert first.items() <= again.items() and len(again) == 4
    untouched = [file for file, then in when.items() if file.is_file() and file.stat().st_mtime_ns == then]
    assert len(untouched) == 1


def test_a_sweep_killed_half_way_goes_on(lab, tmp_path):
    three = ("seed=range(3)", "steps=800", "eval_every=0", "callback=[jsonl,console,checkpoint]")
    command = [sys.executable, "-P", "-m", "microgpt_lab", *SWEEP, *three]
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
    assert len(summaries(tmp_path / "sweep")) == 1
    done = lab(*SWEEP, *three, check=0)
    assert "is there already" in done.stdout and "3 ok in" in done.stdout
    lab(*SWEEP, *three, "hydra.sweep.dir=whole", check=0)
    assert results(tmp_path / "sweep") == results(tmp_path / "whole")


def test_what_cannot_be_made_now_keeps_its_checkpoint(lab, tmp_path):
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


def test_a_job_that_another_process_has_made_meanwhile_is_left_alone(lab, tmp_path):
    lab(*SWEEP, "seed=1", check=0)
    (folder,) = tmp_path.glob("sweep/*seed=1*")
    (folder / "checkpoint.bin").unlink()
    (folder / "notes.txt").write_text("mine")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    run = Run(config, tmp_path / "sweep" / "fresh", place=Place(tmp_path / "sweep", config))
    assert in_a_fork(partial(attempt, run)) == 0
    assert (folder / "notes.txt").exists() and not run.folder.exists()


def test_a_job_at_work_elsewhere_is_left_alone(lab, tmp_path):
    lab(*SWEEP, "seed=range(2)", check=0)
    run = next(tmp_path.glob("sweep/*seed=1*"))
    (run / "summary.json").unlink()
    with FileLock(run / ".lock"):
        done = lab(*SWEEP, "seed=range(2)", check=1)
    assert "is at work in another process" in done.stdout and (run / "checkpoint.bin").exists()
    assert "change the sweep" in lab("resume", str(run), "steps=9", "--force", check=2).stderr
    lab("resume", str(run), check=0)
    assert "2 ok in" in lab(*SWEEP, "seed=range(2)", check=0).stdout


def test_a_refused_job_does_not_touch_the_run_of_another(lab, tmp_path):
    """Two jobs whose names are alike as folders: the second has no such file."""
    (tmp_path / "a b.txt").write_text("ab\nba\nbb\naa\n" * 5)
    paths = "dataset.path='a b.txt','a-b.txt'"
    lab(*SWEEP, "dataset=text", paths, check=2)
    assert sorted(found["status"] for found in summaries(tmp_path / "sweep").values()) == ["ok", "refused"]
    again = lab(*SWEEP, "dataset=text", paths, check=2)
    assert "is there already" in again.stdout and len(summaries(tmp_path / "sweep")) == 2


def test_a_killed_sweep_takes_its_job_along(tmp_path):
    command = [sys.executable, "-P", "-m", "microgpt_lab", *SWEEP, "seed=0,1", "steps=1000000"]
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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_which_keeps_what_it_has(lab, tmp_path, number, status):
    grid = ("seed=range(2)", "steps=1000", "eval_every=0")
    command = [sys.executable, "-P", "-m", "microgpt_lab", *SWEEP, *grid]
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("sweep/*/metrics.jsonl")):
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status and "Traceback" not in errors
    (found,) = summaries(tmp_path / "sweep").values()
    assert found["status"] == "interrupted" and 0 < found["steps"] < 1000
    lab(*SWEEP, *grid, check=0)
    lab(*SWEEP, *grid, "hydra.sweep.dir=whole", check=0)
    assert results(tmp_path / "sweep") == results(tmp_path / "whole")


def test_dry_says_what_would_run_and_leaves_nothing(lab, tmp_path):
    lab(*SWEEP, "seed=range(2)", check=0)
    before = sorted(tmp_path.rglob("*"))
    done = lab(*SWEEP, "seed=range(3)", "heads=4,3", "--dry", check=2)
    assert done.stdout.count("would be refused") == 3
    assert "1 to run, 2 there already, 3 refused" in done.stdout  # heads=4 is the default
    lab(*SHORT, "--dry", check=0)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_compares_and_counts(lab, tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    lab(*SWEEP, "activation=relu,gelu", "optimizer.lr=0.01,1e300", "seed=range(2)", check=1)
    done = lab("report", "sweep", "--against", "activation=relu,optimizer.lr=0.01", check=0)
    assert "8 runs: 4 ok, 4 diverged" in done.stdout
    assert "no run ended well" in done.stdout and "the baseline" in done.stdout
    html = (tmp_path / "sweep" / "report.html").read_text()
    assert "<svg" in html and not re.search(r'(src|href)="?http|<script|@import', html)
    table = (tmp_path / "sweep" / "report.md").read_text()
    assert "| activation | optimizer.lr | loss/val |" in table
    from microgpt_lab import load_sweep

    frame = load_sweep(tmp_path / "sweep")
    assert isinstance(frame, pandas.DataFrame) and len(frame) == 8
    assert frame.attrs["swept"] == ["activation", "optimizer.lr", "seed"]
    assert frame.attrs["fixed"]["layers"] == 1
    means = frame[frame["status"] == "ok"].groupby("activation")["loss/val"].mean()
    assert all(f"{mean:.4f}" in done.stdout for mean in means)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["nowhere"], "nowhere holds no runs"),
        (["sweep", "--metric", "loss/vla"], "did you mean 'loss/val'?"),
        (["sweep", "--by", "layer"], "'layer' was not swept"),
        (["sweep", "--against", "activation=silu"], "describes 0 rows"),
    ],
)
def test_mistakes_in_a_report_are_a_line(lab, tmp_path, arguments, answer):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    run = tmp_path / "sweep" / "activation=relu"
    run.mkdir(parents=True)
    (run / "overrides.yaml").write_text("[activation=relu]")
    (run / "summary.json").write_text('{"status": "ok", "loss/val": 2.0}')
    (line,) = lab("report", *arguments, check=2).stderr.splitlines()
    assert answer in line


def test_a_recipe_of_ones_own_is_listed_swept_and_checked(lab, tmp_path):
    folder = tmp_path / "home" / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(
        "# @package _global_\n# Mine?\ndefaults:\n  - override /backend: numpy\nsteps: 4\nembed: 8\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: range(2)\n"
    )
    lab("experiment=mine", check=0)
    assert len(summaries(tmp_path / "runs" / "mine")) == 2
    assert "is there already" in lab("experiment=mine", check=0).stdout
    found = summaries(tmp_path / "runs" / "mine")
    loss = next(found[name]["loss/val"] for name in found if "seed=1" in name)
    expected = {"check": {"overrides": ["seed=1"], "figures": {"loss/val": loss}, "tolerance": 1e-9}}
    (folder / "expected.json").write_text(json.dumps(expected))
    assert re.search(r"mine +Mine\?", lab("experiments", check=0).stdout)
    lab("experiments", "check", "mine", check=0)
    expected["check"]["figures"]["loss/val"] += 1e-6
    (folder / "expected.json").write_text(json.dumps(expected))
    assert "✗" in lab("experiments", "check", "mine", check=1).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in ROOT.glob("experiments/*/expected.json"))
)
def test_our_recipes_give_the_figures_that_they_expect(lab, karpathy_names, name):
    needs_names = (f"dataset.path={karpathy_names}",) if name.startswith("microgpt") else ()
    lab("experiments", "check", name, *needs_names, check=0)
