import pytest
import torch
import torch_backend
from torch_backend.tensor import FUNCTIONS, Tensor

from microgpt_lab import UserError, ops, part
from microgpt_lab.testing import assert_same_losses, losses, small_trainer, tests_of

test_parts = tests_of(torch_backend)


def test_softplus_is_exact_where_that_of_pytorch_is_the_identity():
    x = torch.tensor([21.0], dtype=torch.float64)
    assert FUNCTIONS["softplus"](x).item() - 21 == pytest.approx(7.58256e-10, rel=1e-5)


def test_steps_are_the_same_bits_again():
    first, second = (losses(small_trainer(part("backend", "torch"), steps=10)) for _ in range(2))
    assert first == second


def test_no_graph_is_kept_between_steps():
    trainer = small_trainer(part("backend", "torch"), steps=2)
    losses(trainer)
    assert not any(w.data.requires_grad for w in trainer.weights.values())


def test_a_loss_without_weights_has_gradients_of_zero():
    backend = part("backend", "torch")
    row, grads = backend.value_and_grad(
        lambda w: backend.tensor([[3.0]]), {"w": backend.tensor([[1.0, 2.0]])}
    )
    assert row.tolist() == [[3.0]]
    assert grads["w"].tolist() == [[0.0, 0.0]]


def test_a_comparison_is_only_for_where():
    x = Tensor(torch.tensor([[1.0, -1.0]]))
    assert ops.where(x > 0, x, 0.0).tolist() == [[1.0, 0.0]]
    for wrong in (lambda: bool(x > 0), lambda: x + (x > 0), lambda: x == x):
        with pytest.raises(TypeError, match="where"):
            wrong()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"device": "mps"}, "mps has no float64: choose backend.precision=float32"),
        ({"device": "mps", "precision": "float32"}, "PyTorch finds no MPS device here"),
        ({"device": "cuda"}, "PyTorch finds no CUDA device here"),
    ],
)
def test_a_device_that_cannot_compute_is_refused_in_a_line(options, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=message):
        part("backend", "torch", **options)


@pytest.mark.parametrize("precision, device", [("float32", "mps"), ("float64", "cpu")])
def test_auto_takes_mps_only_where_it_has_the_precision(precision, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert torch_backend.chosen("auto", precision) == device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
def test_a_gpu_computes_the_same_losses():
    assert_same_losses(part("backend", "torch", device="cuda"), dropout=0.1)


def test_parts_of_a_batch_are_computed_one_after_the_other():
    assert_same_losses(part("backend", "torch"), steps=5, batch_size=3, accumulate=2, dropout=0.1)
