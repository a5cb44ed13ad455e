"""Runs on every backend: what cannot run is refused in one line, and results do not depend on devices."""

import json
import os
import subprocess
import sys

import pytest
from needs import needs
from test_backends import BACKENDS, backend

from microgpt_lab.testing import losses, small_trainer

UNFIT = """
from microgpt_lab import hookimpl

def peeks(x):
    '''Asks for single numbers.'''
    return x * float(x.tolist()[0][0] > 0)

def branches(x):
    '''Asks whether a comparison holds.'''
    return x if x > 0 else x * 0.5

def compares(x):
    '''Asks for equality.'''
    return x * 0.5 if x == 0 else x

def counts(x):
    '''Takes a comparison for a number.'''
    return x * (x > 0)

@hookimpl
def activations():
    return [peeks, branches, compares, counts]
"""
NEVER = ["branches", "compares", "counts"]


def every_unfit_part_on_every_backend():
    """On numpy, which compiles nothing, `peeks` runs. A process that imports JAX takes long."""
    for name in BACKENDS:
        for activation in NEVER if name == "numpy" else [*NEVER, "peeks"]:
            slow = name == "jax" and activation != "branches"
            yield pytest.param(activation, name, marks=[pytest.mark.slow] * slow)


@pytest.mark.thorough
@pytest.mark.parametrize(("activation", "name"), list(every_unfit_part_on_every_backend()))
def test_parts_that_cannot_run_on_a_backend_are_refused_in_one_line(lab, tmp_path, name, activation):
    backend(name)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "unfit.py").write_text(UNFIT)
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "mine")}
    done = lab(f"activation={activation}", f"backend={name}", "steps=2", env=env, check=2)
    refused = f"activation={activation} (from microgpt_lab_user1.unfit) cannot run on backend={name}: "
    uncompiled = f"backend=c cannot compile {activation} (unfit.py:6): "  # it runs on single arrays
    assert done.stderr.startswith(f"error: {uncompiled if (name, activation) == ('c', 'peeks') else refused}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


SHARDED = """
import json, jax
from microgpt_lab import part
from microgpt_lab.testing import losses, small_trainer
trainer = small_trainer(part("backend", "jax"), 10, batch_size=5, dropout=0.2, block_size=2)
print(json.dumps([jax.device_count(), losses(trainer)]))
"""


@pytest.mark.thorough
def test_jax_splits_a_batch_among_its_devices():
    pytest.importorskip("jax")
    flags = os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=4"
    env = os.environ | {"XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=env, capture_output=True, text=True, check=True
    )
    devices, found = json.loads(done.stdout)
    assert devices == 4
    expected = losses(small_trainer(backend("python"), 10, batch_size=5, dropout=0.2, block_size=2))
    assert found == pytest.approx(expected, rel=0, abs=1e-9)


def test_runs_on_every_backend_end_with_the_same_result(lab, tmp_path):
    summaries = {}
    needs("c")
    for name in ("python", "numpy", "c"):
        lab(f"backend={name}", "steps=30", "eval_docs=20", "batch_size=2", f"hydra.run.dir={name}", check=0)
        summaries[name] = json.loads((tmp_path / name / "summary.json").read_text())
    for name in ("numpy", "c"):
        assert summaries[name]["loss/val"] == pytest.approx(summaries["python"]["loss/val"], abs=1e-12)
        assert summaries[name]["samples"] == summaries["python"]["samples"]
