"""The two threads of the numpy backend: the halves of a batch, in parallel, give the losses of the whole."""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from microgpt_lab import part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.testing import losses, small_trainer

PARTS = [(p.kind, p.name) for p in registry().parts.values() if p.kind in ("activation", "norm", "optimizer")]


def modules():
    """Modules of the numpy backend that compute a step, with two threads or one."""
    trainer = small_trainer(part("backend", "numpy"))
    scan = sys.modules[type(trainer.train_scan).__module__]
    return scan, sys.modules[scan.Lanes.__module__]


@pytest.mark.parametrize(
    "chosen",
    [{kind: part(kind, name)} for kind, name in PARTS]
    + [{"dropout": 0.2, "grad_clip": 0.1, "batch_size": 5}],
    ids=[name for _, name in PARTS] + ["dropout"],
)
def test_two_lanes_give_the_losses_of_one(monkeypatch, chosen):
    found = {}
    for worth in (0, 10**9):
        monkeypatch.setattr(modules()[0], "WORTH", worth)
        trainer = small_trainer(part("backend", "numpy"), 30, **{"batch_size": 6} | chosen)
        found[worth] = losses(trainer)
        lanes = {recorded.lanes for recorded in trainer.train_scan.recorded.values()}
        assert lanes == {1 if worth else 2}
    assert found[0] == pytest.approx(found[10**9], abs=1e-11)


def test_two_lanes_give_the_same_bits_each_time():
    found = []
    for _ in range(3):
        trainer = small_trainer(part("backend", "numpy"), 12, embed=64, heads=4, batch_size=128)
        found.append((losses(trainer), trainer.weights["wte"].tolist()))
        assert 2 in {recorded.lanes for recorded in trainer.train_scan.recorded.values()}
    assert found[0] == found[1] == found[2]


def test_trainers_in_different_threads_do_not_interfere():
    """Trainers that record at the same time have separate tapes."""

    def train(seed):
        return losses(small_trainer(part("backend", "numpy"), 60, batch_size=4, layers=2, seed=seed))

    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(train, range(4))) == alone


def test_a_call_that_overwrites_a_buffer_waits_for_its_readers():
    x, y, state, one, two, both = (np.zeros(2) for _ in range(6))
    calls = [
        partial(np.add, x, state, one),  # needs the first half alone
        partial(np.add, y, y, two),  # needs the second half alone
        partial(np.negative, np.ones(2), state),  # needs no half, but overwrites what the first call reads
        partial(np.add, one, two, both),  # needs both halves
        partial(np.multiply, two, 2.0, one),  # overwrites what the previous call reads
        partial(np.exp, np.ones(2), np.zeros(2)),  # needs no half
    ]
    found = modules()[1].sorted_by_need(calls, [[x], [y]])
    assert [found[need] for need in (0, 1, 2, -1)] == [
        calls[5:],
        [calls[0], calls[2]],
        [calls[1]],
        calls[3:5],
    ]


def test_an_error_in_the_other_thread_is_raised():
    scan, lanes = modules()
    x, y, three = np.zeros(2), np.zeros(2), np.zeros(3)
    calls = [partial(np.add, x, x, np.zeros(2)), partial(np.add, y, y, np.zeros(2))]
    both = lanes.Lanes(calls, [[x], [y]], [])
    both.lanes[1].append(partial(np.add, y, y, three))
    with scan.ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="broadcast"):
        both.play(threads)
