"""An optimizer may ask for the gradient at other weights than those that the run keeps."""

import math

import pytest

from microgpt_lab import part
from microgpt_lab.testing import losses, small_trainer


class AtZero:
    """SGD with the gradient at weights of 0."""

    lr = 0.1

    def init(self, w):
        return ()

    def gradient_at(self, w, state):
        return w * 0.0

    def update(self, g, state, w, lr, step):
        return w - g * lr, state


class ScheduleFree:
    """SGD of z with the gradient between z and w, the mean of all z (Defazio et al., 2024)."""

    elementwise, lr = True, 0.5

    def init(self, w):
        return w

    def gradient_at(self, w, z):
        return w * 0.9 + z * 0.1

    def update(self, g, z, w, lr, step):
        z = z - g * lr
        return w + (z - w) / (step + 1), z


def test_the_loss_and_the_gradients_of_a_step_are_those_at_the_optimizers_point():
    run = small_trainer(part("backend", "numpy"), 2, optimizer=AtZero())
    before = {name: w.tolist() for name, w in run.weights.items()}
    gradients = {name: g.tolist() for name, g in run.gradients().items()}
    assert not any(map(any, gradients["layer0.mlp.fc1"])), "behind weights of 0, nothing arrives"
    uniform = math.log(run.model.vocab_size)
    assert losses(run)[0] == pytest.approx(uniform, rel=1e-12)
    assert run.weights["layer0.mlp.fc1"].tolist() == before["layer0.mlp.fc1"]
    assert run.evaluate(run.corpus.train[:3]) != pytest.approx(uniform, rel=1e-3), "evaluated at its weights"


@pytest.mark.thorough
@pytest.mark.parametrize("elementwise", [True, False])
@pytest.mark.parametrize("backend", ["numpy", "c", "jax"])
def test_schedule_free_training_is_the_same_on_every_backend(backend, elementwise, monkeypatch):
    if backend == "jax":
        pytest.importorskip("jax")
    monkeypatch.setattr(ScheduleFree, "elementwise", elementwise)
    expected = losses(small_trainer(part("backend", "python"), 8, optimizer=ScheduleFree()))
    found = losses(small_trainer(part("backend", backend), 8, optimizer=ScheduleFree()))
    assert found == pytest.approx(expected, rel=0, abs=1e-9)


def test_schedule_free_training_keeps_the_mean_of_the_points_that_it_visits():
    run, points = small_trainer(part("backend", "python"), 5, optimizer=ScheduleFree()), []
    for _ in range(5):
        run.advance()
        points.append(run.packing.unpack(run.carry[1])["wte"].tolist())
    mean = [[math.fsum(column) / 5 for column in zip(*rows)] for rows in zip(*points)]
    for row, expected in zip(run.weights["wte"].tolist(), mean, strict=True):
        assert row == pytest.approx(expected, rel=1e-12)
