"""Sweeps in rounds: `tune` chooses values on other seeds first, `until` adds seeds as they are needed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from arguments import keep_last
from test_sweeps import results, summaries

pytest.importorskip("pandas", reason="needs microgpt-lab[report]")

CHEAP = ("steps=4", "eval_docs=3", "samples=0", "embed=8", "backend=numpy", "callback=[console]")
CHEAP += ("hydra.sweep.dir=sweep", "activation=relu,gelu")
TUNE = ("tune", "optimizer.lr", *CHEAP, "optimizer.lr=0.03,1e-9", "seed=range(3)")
TUNE += ("hydra.sweeper.tuning_seeds=1",)
UNTIL = ("-m", *CHEAP, "seed=range(6)")


def seeds(folder, *words):
    """The seeds of the runs whose names contain all these words."""
    names = [name for name in summaries(folder) if all(word in name for word in words)]
    return sorted(int(re.search(r"seed=(\d+)", name)[1]) for name in names)


@pytest.mark.thorough
def test_tune_compares_each_setting_at_its_best_value_on_other_seeds(lab, tmp_path):
    done = lab(*TUNE, check=0)
    first, *lines, last = done.stdout.splitlines()
    assert first == "tuning: 2 settings × 2 values × 1 seed = 4 runs; then 2 × 3 = 6 runs"
    ended = [re.search(r"\[ ?(\d+)/10", line)[1] for line in lines if "✓" in line]
    assert sorted(map(int, ended)) == list(range(1, 11))
    assert [line.partition(" is the best of 2 (mean 3.")[0] for line in lines if "✓" not in line] == [
        "activation=relu: optimizer.lr=0.03",
        "activation=gelu: optimizer.lr=0.03",
    ]
    assert last == "10 ok in sweep"
    assert seeds(tmp_path / "sweep", "lr=0.03", "relu") == [0, 1, 2, 3]
    assert seeds(tmp_path / "sweep", "lr=1e-09", "relu") == [3]

    report = lab("report", "sweep", check=0).stdout
    assert report.startswith("activation, 3 seeds  10 runs: 10 ok")
    assert "Each row is shown at its best optimizer.lr, chosen on 1 other seed." in report
    assert "activation=relu: the best optimizer.lr, 0.03, is the largest tried" in report
    rows = json.loads((tmp_path / "sweep" / "report.json").read_text())["rows"]
    assert [row["setting"]["optimizer.lr"] for row in rows] == [0.03, 0.03]
    before = results(tmp_path / "sweep"), (tmp_path / "sweep" / "rounds.json").read_text()

    for run in ("relu*lr=0.03*seed=3", "gelu*seed=2"):  # one of each round, as if the sweep had been killed
        shutil.rmtree(next(tmp_path.glob(f"sweep/*{run}")))
    (tmp_path / "sweep" / "rounds.json").write_text('{"tune": ["optimizer.lr"]}')
    stopped = lab("report", "sweep", check=2).stderr
    assert "has not chosen optimizer.lr yet: repeat its command" in stopped
    again = lab(*TUNE, check=0)
    assert again.stdout.count("already finished") == 8 and again.stdout.count("✓") == 2
    assert (results(tmp_path / "sweep"), (tmp_path / "sweep" / "rounds.json").read_text()) == before


@pytest.mark.slow
def test_a_killed_tune_chooses_and_compares_as_if_it_had_not_been_killed(lab, tmp_path):
    steps = ("steps=150", "eval_every=0", "callback=[jsonl,checkpoint]")
    command = [sys.executable, "-P", "-m", "microgpt_lab", *keep_last((*TUNE, *steps))]
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, start_new_session=True, stdout=subprocess.DEVNULL
    )
    for _ in range(600):
        if len(summaries(tmp_path / "sweep")) >= 2:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(summaries(tmp_path / "sweep")) < 10
    lab(*TUNE, *steps, check=0)
    lab(*TUNE, *steps, "hydra.sweep.dir=whole", check=0)
    assert results(tmp_path / "sweep") == results(tmp_path / "whole")
    assert len(summaries(tmp_path / "sweep")) == 10


def test_a_recipe_may_tune(lab, tmp_path):
    recipe = tmp_path / "home" / "experiments" / "mine" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        "# @package _global_\n# Which?\nsteps: 0\nsamples: 0\nhydra:\n  mode: MULTIRUN\n  sweeper:\n"
        "    tune: optimizer.lr\n    params: {optimizer.lr: '1,2', activation: 'relu', seed: range(2)}\n"
    )
    done = lab("experiment=mine", "--dry", check=0)
    assert done.stdout.startswith("tuning: 1 setting × 2 values × 3 seeds = 6 runs; then 1 × 2 = 2 runs\n")
    assert "8 to run" in done.stdout and not (tmp_path / "runs").exists()


@pytest.mark.thorough
def test_until_adds_seeds_until_every_interval_is_narrow(lab, tmp_path):
    done = lab(*UNTIL, "until=9", check=0)
    first, *_, outcome, last = done.stdout.splitlines()
    assert first == "2 settings × 5 or 6 seeds: at most 12 runs"
    assert re.fullmatch(r"5 seeds: widest interval ± 0\.\d+ \(activation=\w+\); precise enough", outcome)
    assert last == "10 ok in sweep" and seeds(tmp_path / "sweep", "gelu") == [0, 1, 2, 3, 4]

    shutil.rmtree(next(tmp_path.glob("sweep/*seed=4*")))  # as if the sweep had been killed
    more = lab(*UNTIL, "until=1e-9", check=0)
    outcomes = [line for line in more.stdout.splitlines() if "widest" in line]
    assert [line.partition(":")[0] for line in outcomes] == ["5 seeds", "6 seeds"]
    assert [line.rpartition("; ")[2] for line in outcomes] == ["going on", "no seeds are left"]
    assert more.stdout.count("already finished") == 9 and "✓ [12/12]" in more.stdout
    rounds = json.loads((tmp_path / "sweep" / "rounds.json").read_text())
    assert (rounds["until"], rounds["looks"]) == (1e-9, [5, 6])
    lab(*UNTIL, "seed=1", check=0)  # another sweep in the folder
    assert json.loads((tmp_path / "sweep" / "rounds.json").read_text())["looks"] == [5, 6]
