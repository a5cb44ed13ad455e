"""Sweeps on the command line: the results of jobs on disk and on the screen, and reports."""

import json
import re
import sys
from pathlib import Path

import pytest

from microgpt_lab.commands import main

ROOT = Path(__file__).parents[2]

SHORT = ("steps=4", "eval_docs=3", "train_docs=100", "samples=2", "embed=8", "eval_every=2", "backend=numpy")
SWEEP = ("-m", "hydra.sweep.dir=sweep", *SHORT)


def summaries(folder):
    return {file.parent.name: json.loads(file.read_text()) for file in folder.glob("*/summary.json")}


def results(folder):
    """Results that must not depend on how the jobs ran."""
    return {
        tuple(sorted(name.split(","))): (found["loss/val"], found["samples"])
        for name, found in summaries(folder).items()
    }


def plugin(tmp_path, text):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "mine.py").write_text(text)
    return {"MICROGPT_LAB_PLUGINS": str(folder)}


def test_a_sweep_has_a_line_and_a_folder_per_job(lab, tmp_path):
    done = lab(*SWEEP, "activation=relu,gelu", "seed=range(2)", check=0)
    *lines, last = done.stdout.splitlines()
    ended = [
        re.match(r"✓ \[(\d/4)[^]]*\] val \d\.\d{4}  ", line) for line in lines
    ]  # the loss before the name
    assert [match[1] for match in ended] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("left]" in line for line in lines[:3])
    assert last == "4 ok in sweep"
    assert {found["status"] for found in summaries(tmp_path / "sweep").values()} == {"ok"}


def test_a_sweep_over_parts_of_the_model_refuses_what_contradicts(lab, tmp_path):
    done = lab(*SWEEP, "steps=1", "samples=0", "attention=multihead,linear", "position=rope,alibi", check=2)
    assert "attention=linear: linear attention has no scores to bias: choose rope" in done.stderr
    assert done.stdout.splitlines()[-1] == "3 ok, 1 refused in sweep"
    found = summaries(tmp_path / "sweep").items()
    assert {name.partition("samples=0,")[2] for name, summary in found if summary["status"] == "ok"} == {
        "attention=multihead,position=rope",
        "attention=multihead,position=alibi",
        "attention=linear,position=rope",
    }


def test_a_job_that_is_requested_twice_runs_once(lab, tmp_path):
    done = lab(*SWEEP, "seed=1,1", "jobs=2", check=0)
    assert done.stdout.count("already finished") == 1 and "1 ok in sweep" in done.stdout


def test_the_folder_of_a_job_may_have_any_name_that_hydra_makes(lab, tmp_path):
    """The name may depend on the job's values and number."""
    lab(*SWEEP, "activation=relu,gelu", "hydra.sweep.subdir=${hydra:job.num}_${activation.name}", check=0)
    assert set(summaries(tmp_path / "sweep")) == {"0_relu", "1_gelu"}


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
    sweep = (word for word in SWEEP if not word.startswith("train_docs"))  # so that names have all keys
    done = lab(*sweep, *short, env=env, check=2)
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


def test_dry_lists_what_would_run_and_writes_nothing(lab, tmp_path, swept):
    before = sorted(tmp_path.rglob("*"))
    done = lab(*SWEEP, "seed=range(3)", "heads=4,3", "--dry", check=2)
    assert done.stdout.count("would be refused") == 3
    assert "1 to run, 2 already finished, 3 refused" in done.stdout  # heads=4 is the default
    lab(*SHORT, "--dry", check=0)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_compares_settings_and_counts_statuses(lab, tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    lab(*SWEEP, "activation=relu,gelu", "optimizer.lr=0.01,1e300", "seed=range(2)", check=1)
    done = lab("report", "sweep", "--against", "activation=relu,optimizer.lr=0.01", check=0)
    assert "8 runs: 4 ok, 4 diverged" in done.stdout
    assert "set aside: 2 of 2 runs diverged" in done.stdout and "the baseline" in done.stdout
    assert "written: report.md, report.html, report.json, report.svg" in done.stdout.splitlines()[-1]
    assert done.stdout.endswith(" in sweep\n")
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
        (["nowhere"], "there is no sweep at nowhere"),
        (["sweep", "--metric", "loss/vla"], "did you mean 'loss/val'?"),
        (["sweep", "--by", "layer"], "'layer' was not swept"),
        (["sweep", "--against", "activation=silu"], "matches 0 rows"),
    ],
)
def test_mistakes_in_report_arguments_are_a_one_line_error(tmp_path, monkeypatch, capsys, arguments, answer):
    """In this process, because importing pandas takes long."""
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "sweep" / "activation=relu"
    run.mkdir(parents=True)
    (run / "overrides.yaml").write_text("[activation=relu]")
    (run / "summary.json").write_text('{"status": "ok", "loss/val": 2.0}')
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and answer in line


@pytest.mark.thorough
def test_a_users_recipe_is_listed_swept_and_checked(lab, tmp_path):
    folder = tmp_path / "home" / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(
        "# @package _global_\n# Mine?\ndefaults:\n  - override /backend: numpy\nsteps: 4\nembed: 8\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: range(2)\n"
    )
    lab("experiment=mine", check=0)
    assert len(summaries(tmp_path / "runs" / "mine")) == 2
    assert "already finished" in lab("experiment=mine", check=0).stdout
    found = summaries(tmp_path / "runs" / "mine")
    loss = next(found[name]["loss/val"] for name in found if "seed=1" in name)
    expected = {"check": {"overrides": ["seed=1"], "figures": {"loss/val": loss}, "tolerance": 1e-9}}
    (folder / "expected.json").write_text(json.dumps(expected))
    assert re.search(r"mine +Mine\?", lab("experiments", check=0).stdout)
    lab("experiments", "check", "mine", check=0)
    expected["check"]["figures"]["loss/val"] += 1e-6
    (folder / "expected.json").write_text(json.dumps(expected))
    assert "✗" in lab("experiments", "check", "mine", check=1).stdout


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in ROOT.glob("experiments/*/expected.json"))
)
def test_the_labs_recipes_give_their_expected_figures(lab, request, name):
    needs_names = name.startswith("microgpt")
    path = (f"dataset.path={request.getfixturevalue('karpathy_names')}",) if needs_names else ()
    lab("experiments", "check", name, *path, check=0)


def test_the_plain_name_of_a_job_is_the_configured_one():
    """Otherwise Hydra alone would compose each job, which takes thirty times as long."""
    from microgpt_lab.options.composer import DEFAULT_SUBDIR
    from microgpt_lab.registry.folders import CONF

    assert f"subdir: {DEFAULT_SUBDIR}\n" in (CONF / "config.yaml").read_text()


def test_nested_folders_of_a_job_are_refused(lab, tmp_path):
    done = lab(*SWEEP, "seed=1,2", "hydra.sweep.subdir='a/${hydra:job.num}'", check=2)
    assert "a/0 is a path: write the name of one folder" in done.stderr and "2 refused" in done.stdout


@pytest.mark.thorough
def test_a_setting_too_large_to_prepare_fails_in_its_own_process(lab, tmp_path):
    """This holds for each job of the setting, also after other jobs of it have failed."""
    large = ("batch_size=20000", "block_size=32", "embed=4", "samples=0", "eval_every=0", "steps=2")
    command = ["bash", "-c", 'ulimit -v 750000; exec "$@"', "-", sys.executable, "-P", "-m", "microgpt_lab"]
    done = lab(
        *SWEEP, *large, "seed=1,2,3", "jobs=1", command=command, env={"OPENBLAS_NUM_THREADS": "1"}, check=1
    )
    assert "3 failed" in done.stdout, done.stdout + done.stderr
