"""Promise: NaN and infinity stop a run with their tensor's name, and the last good checkpoint is kept."""

import json
import math

import pytest
from needs import needs

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.backend import Backend
from microgpt_lab.run import checkpoint

DOCUMENTS = part("dataset", "us_names")()[:200]


def trainer(backend, optimizer="sgd", norm="none", activation="relu", **options):
    corpus = Corpus(DOCUMENTS)
    model = GPT(corpus.vocab_size, part("activation", activation), part("norm", norm), embed=8)
    parts = part("optimizer", optimizer, **options), part("scheduler", "constant"), part("backend", backend)
    return Trainer(model, corpus, *parts, steps=40)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 1e300}, "step 1: new weight wte "),  # finite, but its squares are not
        ({"lr": 1e3}, "step 4: "),  # rounding decides which tensor is the first
        (
            {"optimizer": "adam", "eps": 0.0},
            "step 1: new weight wte is nan at [",
        ),  # 0 / 0 for unused weights
    ],
    ids=str,
)
def test_every_backend_names_the_same_step_and_tensor(options, message):
    found = []
    for backend in ("python", "numpy", "jax", "c"):
        needs(backend)
        run = trainer(backend, **options)
        with pytest.raises(FloatingPointError) as caught:
            run.train()
        found.append(str(caught.value)[: len(message)])
        assert all(math.isfinite(x) for w in run.weights.values() for row in w.tolist() for x in row)
    assert found == [message] * 4


def test_steps_before_a_divergence_in_the_same_call_are_kept():
    run = trainer("numpy", lr=1e3)
    run.steps_per_second = 10**9  # as many steps in a call as the backend takes
    finished = []
    run.watch = lambda event, **facts: finished.append(facts["step"]) if event == "step_finished" else False
    with pytest.raises(FloatingPointError) as caught:
        run.train()
    assert finished == list(range(1, run.step + 1)) and f"step {run.step + 1}:" in str(caught.value)


class Poisoned(Backend):
    """The python backend, with one wrong number in a gradient."""

    def __init__(self, value):
        self.python, self.value, self.calls = part("backend", "python"), value, 0
        self.tensor = self.python.tensor

    def value_and_grad(self, loss, weights):
        value, grads = self.python.value_and_grad(loss, weights)
        self.calls += 1
        if self.calls >= 5:
            rows = grads["layer0.mlp.fc1"].tolist()
            rows[3][2] = self.value
            grads["layer0.mlp.fc1"] = self.tensor(rows)
        return value, grads


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_a_gradient_that_is_not_finite_stops_the_run(value):
    run = trainer("python")
    poisoned = Trainer(run.model, Corpus(DOCUMENTS), run.optimizer, run.scheduler, Poisoned(value), steps=40)
    with pytest.raises(
        FloatingPointError, match=rf"step 5: gradient of layer0.mlp.fc1 is {value} at \[3, 2\]"
    ):
        poisoned.train()
    assert poisoned.step == 4


def test_an_infinite_loss_stops_the_run():
    class Loss(Poisoned):
        def value_and_grad(self, loss, weights):
            value, grads = self.python.value_and_grad(loss, weights)
            return value * math.inf, grads

    run = trainer("python")
    run = Trainer(run.model, Corpus(DOCUMENTS), run.optimizer, run.scheduler, Loss(0.0), steps=40)
    with pytest.raises(FloatingPointError, match=r"step 1: overflow \(loss inf"):
        run.train()


def test_relu_does_not_hide_a_nan():
    run = trainer("python")
    weights = run.weights
    weights["layer0.mlp.fc1"] = run.backend.tensor([[math.nan] * 8] * 32)
    run.carry = run.packing.pack(weights), run.carry[1]
    with pytest.raises(FloatingPointError, match=r"step 1: weight layer0.mlp.fc1 is nan at \[0, 0\]"):
        run.train()


@pytest.mark.parametrize("backend", ["python", "numpy"])
def test_weights_whose_products_overflow_in_a_norm_stop_the_run(backend):
    """The squares of 1e100 are finite. But fc2 times fc1 is 1e200, for which a norm gives 0."""
    run = trainer(backend, norm="rmsnorm", lr=1e100)
    with pytest.raises(FloatingPointError, match="step 1: new weight wte is "):
        run.train()
    assert run.step == 0


def test_a_diverged_run_keeps_its_last_good_checkpoint(lab, tmp_path):
    options = (
        "steps=60 embed=8 eval_docs=5 eval_every=20 norm=none callback.checkpoint.every=1 hydra.run.dir=run"
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "jump.py").write_text('''
from microgpt_lab import hookimpl

def jump(step, steps):
    """1, and from step 31 on far too large."""
    return 1.0 if step < 30 else 1e200

@hookimpl
def schedulers():
    return [jump]
''')
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}
    done = lab(*options.split(), "scheduler=jump", "optimizer=sgd", env=env, check=1)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "diverged" and summary["steps"] == 30
    assert summary["error"].startswith("step 31: new weight wte is ")
    assert summary["error"] in done.stdout + done.stderr
    assert checkpoint.read(tmp_path / "run", pytest.fail).facts["step"] == 30
    lab("sample", "run", "-n", "1", check=0)
