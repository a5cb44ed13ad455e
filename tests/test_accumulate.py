"""Gradient accumulation: a step in parts, one in memory at a time, equals one of the larger batch."""

import sys
import tracemalloc

import numpy as np
import pytest
from needs import needs

from microgpt_lab import part
from microgpt_lab.core.backend import Batch
from microgpt_lab.testing import losses, small_trainer

OPTIONS = {"dropout": 0.2, "mlp": ("moe", {}), "attention": ("multihead", {"dropout": 0.2}), "grad_clip": 0.5}


def trainer(backend, batch_size, accumulate=1):
    needs(backend)
    chosen = {key: part(key, x[0], **x[1]) if isinstance(x, tuple) else x for key, x in OPTIONS.items()}
    made = part("backend", backend)
    return small_trainer(made, 6, batch_size=batch_size, accumulate=accumulate, block_size=2, **chosen)


def difference(a, b):
    return max(np.abs(np.subtract(a[name].tolist(), b[name].tolist())).max() for name in a)


@pytest.mark.parametrize("backend", ["python", "numpy", "c", pytest.param("jax", marks=pytest.mark.thorough)])
def test_accumulated_steps_equal_those_of_the_larger_batch(backend):
    """Documents, dropout masks and the weight of each token are the same; only the order of sums differs."""
    whole, parts = trainer(backend, 12), trainer(backend, 4, accumulate=3)
    assert losses(parts) == pytest.approx(losses(whole), rel=0, abs=1e-12)
    assert difference(parts.weights, whole.weights) < 1e-12
    batch, *numbers = whole.inputs(0)
    five = [ids + targets[-1:] for ids, targets in batch.pairs[:5]]  # two, two and one in three parts

    def step(run, parts):
        inputs = Batch(five, run.longest, mean=True, dropouts=batch.dropouts, height=12, parts=parts)
        (weights, _), _ = run.train_scan(whole.carry, [(inputs, *numbers)])
        return weights

    assert difference(step(parts, 3), step(whole, 1)) < 1e-12


def test_the_python_backend_has_the_graph_of_one_document_in_memory():
    def peak(batch_size):
        run = small_trainer(part("backend", "python"), 6, batch_size=batch_size)
        run.advance()
        tracemalloc.start()
        run.advance()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(24) < 1.5 * peak(1)


@pytest.mark.thorough
def test_large_batches_of_many_lengths_are_compiled_once(monkeypatch):
    """Fewer of them are given to a compiled call at once, which changes no bit."""
    pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    run, again = (
        small_trainer(part("backend", "jax"), 4, batch_size=64, block_size=2, dropout=0.2) for _ in "ab"
    )
    expected = [metrics["loss/train"] for metrics in run.advance(1) + run.advance(3)]
    assert len(run.train_scan.programs) == 1
    monkeypatch.setattr(sys.modules[type(run.train_scan).__module__], "INPUTS", 15_000)
    assert losses(again) == expected
    ((*_, (steps, _), _count),) = again.train_scan.programs
    assert steps == (2,)


@pytest.mark.thorough
def test_a_compiled_step_has_one_part_in_memory():
    def peak(batch_size, accumulate):
        run = small_trainer(
            part("backend", "jax"), 6, batch_size=batch_size, accumulate=accumulate, block_size=2
        )
        run.advance()
        (program,) = run.train_scan.programs.values()
        return program.memory_analysis().temp_size_in_bytes

    pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    assert peak(64, 8) < 0.25 * peak(512, 1)
