"""Launchers and sweepers: the same sweep in parallel, on a cluster, and as a search."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_sweeps import PARTS, SWEEP, plugin, results

from microgpt_lab.run import checkpoint

MODULES = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "launcher",
    ["joblib", "submitit_local", *(pytest.param(name, marks=pytest.mark.slow) for name in ("basic", "ray"))],
)
def test_launchers_give_equal_results(lab, tmp_path, launcher):
    pytest.importorskip(MODULES.get(launcher, "hydra"), reason=f"needs hydra's {launcher}")
    env = plugin(tmp_path, PARTS)
    grid = ("activation=relu,square", "seed=7")  # submitit starts a process for each job
    lab(*SWEEP, *grid, env=env, check=0)
    done = lab(*SWEEP, *grid, f"hydra/launcher={launcher}", "hydra.sweep.dir=beside", env=env, check=0)
    assert "2 ok in beside" in done.stdout
    assert "[2/2]" in done.stdout or launcher in ("submitit_local", "ray")  # these show output later, or not
    assert results(tmp_path / "sweep") == results(tmp_path / "beside")
    assert configurations(tmp_path / "sweep") == configurations(tmp_path / "beside")
    assert not list((tmp_path / "beside").rglob("*batch*"))


def configurations(sweep):
    return {file.read_text() for file in sweep.glob("*/config.yaml")}


@pytest.mark.thorough
def test_a_job_gives_the_same_result_as_the_same_run_alone(lab, tmp_path):
    """This holds for any seed, whether or not an earlier job has prepared the setting."""
    grid = ("steps=30", "eval_every=7", "dropout=0.1", "seed=range(3)", "optimizer=muon,adam")
    lab(*SWEEP, *grid, check=0)
    for seed in range(3):
        lab(*SWEEP[2:], *grid, f"seed={seed}", "optimizer=muon", "hydra.run.dir=alone", check=0)
        (job,) = tmp_path.glob(f"sweep/*seed={seed},optimizer=muon*")
        for name in ("config.yaml", "samples.txt"):
            assert (job / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
        assert numbers(job) == numbers(tmp_path / "alone")
        shutil.rmtree(tmp_path / "alone")


def numbers(run):
    """Losses of all steps, and the weights, optimizer state and random state at the end."""
    steps = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    saved = checkpoint.read(run, print)
    return [(step["loss/train"], step.get("loss/val")) for step in steps], saved.numbers, saved.facts["rng"]


@pytest.mark.slow
def test_a_ray_cluster_started_in_another_folder_gives_equal_results(lab, tmp_path, monkeypatch):
    """The sweep uses a plugin of the user and relative paths."""
    pytest.importorskip("ray", reason="needs microgpt-lab[ray]")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    plugin(tmp_path, PARTS)
    env = {"MICROGPT_LAB_PLUGINS": "parts"}
    ray = [Path(sys.executable).with_name("ray")]
    subprocess.run([*ray, "start", "--head", "--num-cpus=2"], cwd="/", check=True, stdout=subprocess.DEVNULL)
    try:
        lab(*SWEEP, "activation=relu,square", "hydra/launcher=ray_cluster", env=env, check=0)
        busy = lab(*SWEEP, "seed=5", "hydra/launcher=ray", env=env, check=1)
        assert "hydra/launcher=ray_cluster" in busy.stderr
    finally:
        subprocess.run([*ray, "stop"], check=True, stdout=subprocess.DEVNULL)
    lab(*SWEEP, "activation=relu,square", "hydra.sweep.dir=serial", env=env, check=0)
    assert results(tmp_path / "sweep") == results(tmp_path / "serial")


@pytest.mark.slow
def test_a_search_continues_and_reports_if_no_job_has_a_result(lab, tmp_path):
    pytest.importorskip("optuna", reason="needs microgpt-lab[optuna]")
    search = (*SWEEP, "hydra/sweeper=optuna_kept", "hydra.sweeper.n_trials=3", "activation=relu,gelu")
    for trials in (3, 6):
        done = lab(*search, "optimizer.lr=tag(log,interval(0.001,0.1))", check=0)
        assert f"{trials} ok in" in done.stdout and f"[{trials}/{trials}" in done.stdout
    done = lab(*search, "optimizer.lr=interval(1e300,1e301)", "hydra.sweep.dir=wild", check=1)
    assert "3 diverged in" in done.stdout and done.stderr.splitlines()[-1] == "no job has a result"
