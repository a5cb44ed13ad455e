"""`last`: commands find the newest run or sweep without its name."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from microgpt_lab.commands.resume import key
from microgpt_lab.run import checkpoint

TINY = ("steps=2", "eval_docs=2", "samples=1", "embed=8", "heads=2", "layers=1", "train_docs=20")
NUMPY = ("backend=numpy", "callback=[jsonl,checkpoint]")


def dated(folder, seconds):
    """Make a run or sweep look as if it had started this many seconds after 1970."""
    for file in folder.rglob("*"):
        os.utime(file, (seconds, seconds))


@pytest.fixture(scope="module")
def trained(lab_in, tmp_path_factory):
    """Folder of a run and of a sweep."""
    folder = tmp_path_factory.mktemp("trained")
    lab_in(folder, *TINY, *NUMPY, "hydra.run.dir=runs/alone", check=0)
    lab_in(folder, "-m", "seed=1,2", *TINY, *NUMPY, "hydra.sweep.dir=runs/swept", check=0)
    return folder / "runs"


@pytest.fixture
def run_and_sweep(trained, tmp_path):
    """A run, then a sweep in a folder of its own. Returns the folder `runs` and the newest job."""
    runs = tmp_path / "runs"
    shutil.copytree(trained, runs)
    dated(runs / "alone", 1000)
    dated(runs / "swept", 2000)
    (newest,) = runs.glob("swept/*seed=1*")
    dated(newest, 3000)
    return runs, newest


def used_folder(done):
    """Folder that a command prints as the one it uses."""
    (line,) = done.stderr.splitlines()
    return Path(line.removeprefix("last: "))


def test_sample_uses_the_newest_run_or_job(lab, tmp_path, run_and_sweep):
    runs, newest = run_and_sweep
    done = lab("sample", "--seed", "1", "-n", "3", check=0)
    assert tmp_path / used_folder(done) == newest
    assert done.stdout == lab("sample", str(newest), "--seed", "1", "-n", "3", check=0).stdout
    assert done.stdout == lab("sample", "last", "--seed", "1", "-n", "3", check=0).stdout
    dated(runs / "alone", 4000)
    assert used_folder(lab("sample", "-n", "0", check=0)) == Path("runs/alone")


def test_sample_skips_runs_without_a_checkpoint(lab, run_and_sweep):
    runs, newest = run_and_sweep
    (newest / checkpoint.CURRENT).unlink()
    assert used_folder(lab("sample", "-n", "0", check=0)).parent == Path("runs/swept")
    for file in runs.rglob("checkpoint*"):
        file.unlink()
    assert "no run with a checkpoint below ./runs" in lab("sample", check=2).stderr


def test_resume_uses_the_newest_run_if_the_first_argument_is_an_override(lab, run_and_sweep):
    runs, newest = run_and_sweep
    done = lab("resume", check=0)
    assert (
        f"{newest.relative_to(runs.parent)} has ended: ok" in done.stdout
        and "train longer" not in done.stdout
    )
    dated(runs / "alone", 4000)
    assert used_folder(lab("resume", "steps=5", check=0)) == Path("runs/alone")
    assert json.loads((runs / "alone" / "summary.json").read_text())["steps"] == 5


@pytest.mark.parametrize(
    "override", ["optimizer.beta1=0.9", "STEPS=300", "++steps=3", "batch-size=3", "~norm=none"]
)
def test_resume_recognizes_any_override(lab, override):
    assert "there is no run below ./runs" in lab("resume", override, check=2).stderr


def test_overrides_with_any_prefix_have_the_same_key():
    assert {key("layers=1"), key("++layers=2"), key("~layers"), key("+layers=[1=2]")} == {"layers"}


def test_report_uses_the_newest_sweep(lab, run_and_sweep):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    runs, _ = run_and_sweep
    shutil.copytree(runs / "swept", runs / "older")
    dated(runs / "older", 500)
    dated(runs / "alone", 4000)  # a single run is not a sweep
    assert used_folder(lab("report", check=0)) == Path("runs/swept")
    assert (runs / "swept" / "report.md").is_file()
    dated(runs / "older", 5000)
    assert used_folder(lab("report", "last", check=0)) == Path("runs/older")


def test_an_existing_folder_called_last_comes_before_the_newest_run(lab, tmp_path, run_and_sweep):
    runs, _ = run_and_sweep
    (runs / "alone").rename(tmp_path / "last")
    assert lab("sample", "last", "-n", "1", check=0).stderr == ""


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained / "alone", tmp_path / "run")


def test_more_steps_continue_a_finished_run_without_force(lab, run):
    output = lab("resume", "run", check=0).stdout
    assert output == "run has ended: ok; to train longer: python -m microgpt_lab resume run steps=4\n"
    lab(*output.split("microgpt_lab ")[1].split(), check=0)
    rows = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3, 4]
    assert json.loads((run / "summary.json").read_text())["resumed"] == [2]
    assert yaml.safe_load((run / "config.yaml").read_text())["steps"] == 4
    assert [o for o in yaml.safe_load((run / "overrides.yaml").read_text()) if o.startswith("steps")] == [
        "steps=4"
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("steps=1",), "is at step 2, beyond steps=1"),
        (("steps=9", "dropout=0.1"), "would not continue as it started: dropout was 0.0, is 0.1"),
        (("batch_size=2",), "would not continue as it started: batch_size was 1, is 2"),
    ],
)
def test_any_other_change_of_a_finished_run_is_refused(lab, run, overrides, message):
    before = {file: file.read_bytes() for file in run.iterdir()}
    assert message in lab("resume", "run", *overrides, check=2).stderr
    assert before == {file: file.read_bytes() for file in run.iterdir()}
