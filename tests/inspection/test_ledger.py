"""The ledger of a number: what it was made from, and where its gradient comes from, in exact sums."""

import math
from random import Random

import pytest
from replays import LABELS, MODELS, read, reading

from microgpt_lab.inspection.ledger import explain
from microgpt_lab.inspection.names import Names
from microgpt_lab.registry.plugins import registry

KINDS = ("position", "attention", "weighting", "mlp", "block", "norm", "loss")
DEFAULT = {
    "position": "learned",
    "attention": "multihead",
    "weighting": "softmax",
    "mlp": "mlp",
    "block": "pre_norm",
    "norm": "rmsnorm",
    "loss": "cross_entropy",
}


def test_the_models_have_every_part():
    for kind in KINDS:
        chosen = [model.get(kind, DEFAULT[kind]) for model in MODELS.values()]
        names = {each if isinstance(each, str) else each[0] for each in chosen}
        assert names == set(registry().names(kind))


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_is_the_sum_over_uses_and_predictions(model):
    replay, rng = read(model), Random(1)
    names = Names(replay)
    tracked = {name: x for name, x in names.tensors.items() if x.is_tracked and name != "loss"}
    for name in rng.sample(sorted(tracked), 20):
        found = explain(replay, names.format(name, rng.randrange(len(tracked[name].data))))
        parts = [part for use in found.uses for part in use.by_prediction]
        assert len(parts) == len(found.uses) * len(replay)
        assert math.fsum(parts) == pytest.approx(found.grad, rel=0, abs=1e-12), found.name
        assert found.error < 1e-12
        for use in found.uses:
            assert use.total == pytest.approx(use.derivative * use.grad, rel=1e-9, abs=1e-12)
        if found.pairs:
            products = [x.data * y.data for x, y in found.pairs]
            assert math.fsum(products) == pytest.approx(found.data, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("model", MODELS)
def test_gradients_of_predictions_add_up_and_looking_at_them_changes_nothing(model):
    replay = read(model)
    before = {name: [x.grad for x in w.data] for name, w in replay.weights.items()}
    for name, w in replay.weights.items():
        each = replay.gradients_by_prediction(w.data)
        assert [x.grad for x in w.data] == before[name]
        for whole, parts in zip(before[name], each, strict=True):
            assert len(parts) == len(replay) and math.fsum(parts) == pytest.approx(whole, rel=0, abs=1e-12)


def test_what_a_number_was_made_from_is_called_by_names_that_find_it():
    replay = read()
    for name in ("layer0.attention.wq:2:5", "q:1:2:3", "pattern:0:3:1", "losses:2", "embed:1:3"):
        found = explain(replay, name)
        others = [*found.parents, *found.uses, *(each for pair in found.pairs for each in pair)]
        assert others
        for other in others:
            again = explain(replay, other.name)
            assert (again.data, again.grad, again.op) == (other.data, other.grad, other.op)


def test_a_relu_has_the_parent_and_the_derivative_of_a_relu():
    replay = read()
    for i, x in enumerate(replay.inside["layer0.mlp.pre"].data[:8]):
        (parent,) = explain(replay, f"layer0.mlp.post:0:{i}").parents
        assert (parent.name, parent.data) == (f"layer0.mlp.pre:0:{i}", x.data)
        assert parent.derivative == (x.data > 0)


def test_a_factor_that_comes_twice_is_one_use_with_both_derivatives():
    found = explain(read(), "embed:1:3")
    square = next(use for use in found.uses if use.op == "*" and use.data == found.data**2)
    assert square.derivative == 2 * found.data
    assert [parent.derivative for parent in explain(read(), square.name).parents] == [found.data] * 2


def test_one_number_has_all_the_names_of_views_and_of_its_tensor():
    names = explain(read(), "embed_norm:1:3").names
    assert names == ("embed_norm:1:3", "layer0.norm1.input:1:3")
    masked = explain(read(), "scores:1:0:4")
    assert masked.data == -math.inf and len(masked.names) > 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("wte:a:0", "no token of this text looks up its row"),
        ("position.wpe:7:0", "no token of this text looks up its row"),
        ("scores:0:0:1", "masked: "),
        ("scores:0:0:0", "what its uses add cancels"),  # a softmax over one token is 1
        ("q:0:0:0", "has gradient 0 itself: t"),
    ],
)
def test_a_gradient_of_0_has_a_reason(name, why):
    found = explain(read(), name)
    assert found.grad == 0 and why in found.note and found.note.endswith(".")


def test_a_number_that_the_mask_hides_and_a_dead_unit_say_so():
    replay = read()
    names = Names(replay)
    hidden = next(n for n, x in names.tensors.items() if x.shape == (2, 5, 5) and n.startswith("t"))
    assert "the causal mask hides it" in explain(replay, f"{hidden}:0:1:2").note
    dead = next(i for i, x in enumerate(replay.inside["layer0.mlp.pre"].data) if x.data < 0)
    assert "(relu) is 0 here" in explain(replay, names.format("layer0.mlp.pre", dead)).note


def test_the_loss_begins_with_gradient_1_and_a_constant_has_none():
    found = explain(read(), "loss")
    assert found.grad == 1 and not found.uses and "begins here" in found.note
    experts = read("linear attention, experts")
    chosen = explain(experts, "chosen:0:0")
    assert chosen.data in (0.0, 1.0) and "constant" in chosen.note


def test_a_notebook_shows_what_a_terminal_does_and_escapes_tokens():
    labels = ["</script>", *LABELS[1:-1], "·"]
    html = explain(reading(text="abe", labels=labels), "wte:'</script>':3")._repr_html_()
    assert "</script>" not in html and "&lt;/script&gt;→b" in html
    assert "by use and by prediction" in html
