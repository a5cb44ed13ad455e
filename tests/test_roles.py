"""Optimizers get the roles of weights, and elementwise ones still get few rows."""

import pytest

from microgpt_lab import part
from microgpt_lab.core.packing import Packing
from microgpt_lab.run import checkpoint
from microgpt_lab.run.resume import capture, restore
from microgpt_lab.testing import losses, small_trainer

ROLES = {"embedding", "hidden", "residual", "head", "scale"}
SETTINGS = {
    "adamw": {"decay": "linear", "weight_decay": 0.3, "embedding_lr_mult": 0.3, "head_lr_mult": 2.0},
    "muon": {"weight_decay": 0.3, "adam_lr": 0.03},
}


def trainer(backend, optimizer, steps=12, **options):
    """A trainer of a small model with gains and biases, so that it has weights of every role."""
    norm = part("norm", "rmsnorm", gain=True)
    return small_trainer(
        part("backend", backend), steps, optimizer=optimizer, norm=norm, bias=True, **options
    )


def numbers(run):
    return {name: w.tolist() for name, w in run.weights.items()}


class Recorder:
    """An optimizer that changes nothing and remembers the roles that it gets."""

    lr = 0.01

    def __init__(self, **attributes):
        self.calls = []
        self.__dict__.update(attributes)

    def init(self, w):
        return ()

    def update(self, g, state, w, lr, step, role):
        self.calls.append((role, w.shape))
        return w, ()


def test_an_optimizer_gets_the_role_of_each_weight():
    recorder = Recorder()
    run = trainer("python", recorder)
    run.advance()
    assert [role for role, _ in recorder.calls] == [run.model.roles[name] for name in run.weights]
    assert {role for role, _ in recorder.calls} == ROLES


def test_an_elementwise_optimizer_gets_one_row_for_each_role():
    recorder = Recorder(elementwise=True)
    run = trainer("python", recorder)
    run.advance()
    sizes = dict.fromkeys(ROLES, 0)
    for name, w in run.weights.items():
        sizes[run.model.roles[name]] += w.shape[0] * w.shape[1]
    assert dict(recorder.calls) == {role: (1, size) for role, size in sizes.items()}
    assert len(recorder.calls) == len(ROLES)


def test_roles_that_are_not_listed_share_a_row():
    """Each row costs time, on numpy a quarter of a step for AdamW in the default model."""
    recorder = Recorder(elementwise=True, roles=["scale", "head"])
    trainer("python", recorder).advance()
    roles = [role for role, _ in recorder.calls]
    assert len(roles) == 3 and {"scale", "head"} < set(roles)
    assert trainer("python", part("optimizer", "adamw")).carry[0].keys() == {"weights"}


@pytest.mark.parametrize("roles", [[], ["embedding"], ["scale", "residual"], sorted(ROLES)], ids=str)
def test_packing_and_unpacking_change_nothing(roles):
    run = trainer("numpy", part("optimizer", "sgd"))
    packing = Packing(Recorder(elementwise=True, roles=roles), run.weights, run.model.roles)
    found = {name: w.tolist() for name, w in packing.unpack(packing.pack(run.weights)).items()}
    assert list(found.items()) == list(numbers(run).items())


@pytest.mark.parametrize(
    "options",
    [{}, {"decay": "linear"}, {"embedding_lr_mult": 0.5}, {"head_lr_mult": 0.5}, {"scale_lr_mult": 0.5}],
    ids=str,
)
def test_adamws_rows_give_the_weights_that_its_steps_on_each_matrix_give(options):
    packed, apart = (part("optimizer", "adamw", weight_decay=0.3, **options) for _ in range(2))
    apart.elementwise = False
    runs = trainer("python", packed), trainer("python", apart)
    assert losses(runs[0]) == losses(runs[1])
    assert numbers(runs[0]) == numbers(runs[1])


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "backend"), [("adamw", "numpy"), ("muon", "numpy"), ("adamw", "jax")])
def test_losses_by_role_are_the_same_on_every_backend(name, backend):
    if backend == "jax":
        pytest.importorskip("jax")
    optimizer = part("optimizer", name, **SETTINGS[name])
    options = {"grad_clip": 0.5, "batch_size": 3, "tie_embeddings": name == "muon"}
    expected = losses(trainer("python", optimizer, **options))
    assert losses(trainer(backend, optimizer, **options)) == pytest.approx(expected, rel=0, abs=1e-9)


@pytest.mark.parametrize("backend", ["python", "numpy"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_with_options_by_role_resumes_exactly(name, backend, capsys):
    whole, second = (trainer(backend, part("optimizer", name, **SETTINGS[name])) for _ in range(2))
    whole.advance(5)
    restore(second, checkpoint.Saved(*checkpoint.decode(capture(whole)), "checkpoint"))
    assert not capsys.readouterr().err
    first, other = ([metrics["loss/train"] for metrics in run.advance(7)] for run in (whole, second))
    assert first == other
    assert numbers(whole) == numbers(second)


def test_muon_orthogonalizes_only_the_matrices_of_hidden_layers():
    """Of the others, the first step is AdamW's: adam_lr times the sign of the gradient."""
    run = trainer("python", part("optimizer", "muon", lr=0.5, adam_lr=0.125, eps=1e-30))
    before, gradients = run.weights, run.gradients()
    run.advance()
    for name, w in run.weights.items():
        steps = {round(abs(x), 9) for x in (w - before[name]).data if x}
        hidden = run.model.roles[name] in ("hidden", "residual")
        assert (steps == {0.125}) is not hidden, name
        assert any(gradients[name].data)


def test_a_change_of_the_roles_starts_with_a_new_optimizer_state_and_a_warning(capsys):
    """The weights of a checkpoint still fit, and its optimizer's state does not."""
    first = trainer("numpy", part("optimizer", "adamw"))
    first.advance(3)
    second = trainer("numpy", part("optimizer", "adamw", **SETTINGS["adamw"]))
    restore(second, checkpoint.Saved(*checkpoint.decode(capture(first)), "checkpoint"))
    assert capsys.readouterr().err.startswith("warning: the optimizer's state")
    assert numbers(first) == numbers(second)
    assert not any(x for moments in second.carry[1].values() for m in moments for x in m.tolist()[0])
    second.advance(1)
