"""The wiring of a GPT: names that it refuses, reported losses, and looks at named tensors."""

import threading

import pytest

from microgpt_lab import Linear, Shape, looking, part, seen
from microgpt_lab.testing import small_trainer


class Adds:
    """An MLP that adds these losses to each token's, in this order."""

    def __init__(self, listed, **added):
        self.aux_losses, self.added = listed, added

    def __call__(self, x, at):
        for name, size in self.added.items():
            at.add_loss(name, x[:1] * 0.0 + size)
        return x * 0.0


class Declares:
    """An MLP without use that declares these weights and tables."""

    def __init__(self, weights, tables=None):
        self.weights, self.tables = lambda gpt: weights, lambda gpt: tables or {}

    def __call__(self, x, at, **w):
        return x * 0.0


def trainer(mlp, **options):
    return small_trainer(part("backend", "python"), 2, mlp=mlp, **options)


def test_auxiliary_losses_are_reported_under_their_names_whatever_the_order():
    run = trainer(Adds(("far", "near"), near=1.0, far=100.0))
    metrics = run.advance()[0]
    assert (metrics["loss/near"], metrics["loss/far"]) == pytest.approx((1.0, 100.0))
    assert metrics["loss/train"] == pytest.approx(metrics["loss/ce"] + 101.0)


def test_losses_of_one_name_are_added_up_over_layers():
    metrics = trainer(Adds(("near",), near=1.0), layers=3).advance()[0]
    assert metrics["loss/near"] == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("mlp", "message"),
    [
        (Adds(("near",), far=1.0), "the loss 'far' is added, but is not in the part's `aux_losses`"),
        (Adds(("near", "far"), far=1.0), "the loss 'near' is in `aux_losses`, but is never added"),
    ],
    ids=["unlisted", "never added"],
)
def test_a_loss_that_would_not_be_reported_is_an_error(mlp, message):
    with pytest.raises(ValueError, match=message):
        trainer(mlp).advance()


@pytest.mark.parametrize(
    ("mlp", "message"),
    [
        (Adds(("train",)), "an auxiliary loss cannot be called 'train'"),
        (Declares({"fc.1": Shape(2, 2)}), "'fc.1' of layer0.mlp has"),
        (
            Declares({"fc": Linear(2, 2), "fc_bias": [[1.0, 1.0]]}),
            "layer0.mlp.fc_bias is declared twice",
        ),
        (Declares({"a": [[1.0]]}, {"a": [[1.0]] * 9}), "mlp: weights and tables both declare 'a'"),
    ],
    ids=["name of a metric", "dot", "bias", "table"],
)
def test_names_that_mean_two_things_are_refused(mlp, message):
    with pytest.raises(ValueError, match=message):
        trainer(mlp, bias=True).advance()


def test_a_weight_named_like_a_bias_is_the_parts_own_without_biases():
    model = trainer(Declares({"fc": Linear(2, 2), "fc_bias": [[1.0, 1.0]]})).model
    assert [own for own, *_ in model.names["layer0.mlp"]] == ["fc", "fc_bias"]


def test_a_linear_layer_used_as_a_matrix_is_told_to_be_a_function():
    class Multiplies:
        def weights(self, gpt):
            return {"fc": Linear(gpt.embed, gpt.embed)}

        def __call__(self, x, at, fc):
            return x @ fc.T

    with pytest.raises(AttributeError, match=r"declared as Linear is a function: write w\(x\), not w.T"):
        trainer(Multiplies()).advance()


def test_dropout_of_attention_weights_needs_its_rate():
    class Attention:
        def __call__(self, x, at):
            return at.dropout(x)

    with pytest.raises(AttributeError, match=r"at\.dropout needs an attribute `dropout`"):
        small_trainer(part("backend", "python"), attention=Attention()).advance()


def test_a_look_that_returns_nothing_is_named():
    run = small_trainer(part("backend", "python"))
    with pytest.raises(TypeError, match="a look at embed returned None"), looking(lambda name, x: None):
        run.model.logits(run.weights, [0])


def test_one_thread_looks_while_another_trains():
    run = small_trainer(part("backend", "numpy"), 200)
    thread = threading.Thread(target=run.train)
    thread.start()
    while thread.is_alive():
        with seen("logits") as inside:
            run.model.logits(run.weights, [0, 1])
        assert inside["logits"].shape[-2] == 2
    assert run.step == 200
