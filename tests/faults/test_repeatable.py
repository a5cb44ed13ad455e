"""Promise: the same command gives the same bits in any environment."""

import json
import os
import subprocess
import sys

import pytest
from arguments import keep_last
from needs import needs

from microgpt_lab.run import checkpoint

OPTIONS = ("steps=12", "eval_docs=20", "eval_every=6", "samples=3", "dropout=0.1", "embed=64")
OPTIONS += ("train_docs=100",)
OPTIONS += ("callback=[jsonl,samples,checkpoint]", "batch_size=32", "block_size=32")


def one_core():
    if hasattr(os, "sched_setaffinity"):  # on Linux
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


CORES = one_core, None
COMPILE = {"JAX_ENABLE_COMPILATION_CACHE": "0"}  # even if an earlier run has cached its programs


def outcome(run):
    saved = checkpoint.read(run, pytest.fail)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [(row["loss/train"], row["optim/grad_norm"], row.get("loss/val")) for row in rows]
    return saved.numbers, losses, (run / "samples.txt").read_text()


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, if an earlier test loaded it: the child only execs
@pytest.mark.parametrize(
    "backend",
    [
        "numpy",
        pytest.param("python", marks=pytest.mark.thorough),
        pytest.param("c", marks=pytest.mark.thorough),
        pytest.param("jax", marks=pytest.mark.slow),
    ],
)
def test_the_same_command_gives_the_same_bits(tmp_path, backend):
    needs(backend)
    (tmp_path / "elsewhere").mkdir()
    surroundings = [
        ({"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **COMPILE}, tmp_path),
        ({"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "TZ": "Asia/Tokyo",
          "LC_ALL": "C", "COLUMNS": "40"}, tmp_path / "elsewhere"),
    ]  # fmt: skip
    size = ("steps=4", "embed=8", "batch_size=2") if backend == "python" else ()
    outcomes = []
    for i, (env, folder) in enumerate(surroundings):
        run = tmp_path / f"run{i}"
        command = [
            sys.executable,
            "-P",
            "-m",
            "microgpt_lab",
            *keep_last((*OPTIONS, *size)),
            f"backend={backend}",
        ]
        env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")} | env
        env.pop("XLA_FLAGS", None)  # as users have it
        subprocess.run(
            [*command, f"hydra.run.dir={run}"], cwd=folder, env=env, check=True, preexec_fn=CORES[i]
        )
        outcomes.append(outcome(run))
    assert outcomes[0] == outcomes[1]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "jax", "c"])
@pytest.mark.parametrize(
    "size", ["embed=64 layers=4 batch_size=32", "embed=256 batch_size=64", "embed=96 heads=3"]
)
def test_larger_models_give_the_same_bits_with_any_number_of_threads(tmp_path, backend, size):
    outcomes = []
    for threads in ("1", "2", "3"):
        run = tmp_path / f"run{threads}"
        command = [
            sys.executable,
            "-P",
            "-m",
            "microgpt_lab",
            *keep_last((*OPTIONS, *size.split())),
            f"backend={backend}",
        ]
        env = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads} | COMPILE
        subprocess.run([*command, f"hydra.run.dir={run}"], cwd=tmp_path, env=env, check=True)
        outcomes.append(outcome(run))
    assert outcomes[0] == outcomes[1] == outcomes[2]
