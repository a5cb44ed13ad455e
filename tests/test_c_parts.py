"""The C backend compiles parts that nobody has thought of, or refuses them in a line, and shows tensors."""

import re
from random import random

import numpy as np
import pytest
from needs import needs

from microgpt_lab import Linear, Shape, UserError, ops, part, see
from microgpt_lab.core.derived import convolve, log_softmax, maximum, mean, visible
from microgpt_lab.core.interface import Position
from microgpt_lab.core.places import Table
from microgpt_lab.core.see import looking
from microgpt_lab.registry.plugins import registry
from microgpt_lab.testing import losses, small_trainer

registry()


@pytest.fixture(autouse=True)
def compiler():
    needs("c")


class Odd(Position):
    """Rotates by learned angles, and adds learned and constant numbers by distance."""

    def weights(self, gpt):
        size = gpt.block_size
        return {"angles": Shape(size, gpt.head_dim // 2), "near": Shape(3, gpt.heads), "one": Shape(size, 1)}

    def tables(self, gpt):
        rows = [[0.5 * h - d for h in range(2 * gpt.heads)] for d in range(gpt.block_size)]
        return {"far": Table(rows), "ones": Table([[1.0]] * gpt.block_size)}

    def rotate(self, x, places, angles, near, one, far, ones):
        half, angle = x.shape[-1] // 2, angles.take(places)
        sin, cos, a, b = ops.tanh(angle), 1.0 / (1.0 + angle * angle), x[:half], x[half:]
        return (a * cos - b * sin).concat(a * sin + b * cos)

    def bias(self, scores, places, angles, near, one, far, ones):
        heads = scores.shape[-3]
        return (
            scores
            + near.by_distance(places)
            + far[1 : heads + 1].by_distance(places)
            + one.by_distance(places)
        )


class Odder:
    """Uses weights twice, in heads, by columns with steps, sorted anew, in sums and maxima with ties."""

    def weights(self, gpt):
        C = gpt.embed
        square = {name: Shape(C, C) for name in ("a", "b", "gate")}
        return square | {
            "row": Shape(1, C),
            "column": Shape(C, 1),
            "bank": Shape(C, 2 * C),
            "fc2": Linear(C, C, "residual"),
        }

    def tables(self, gpt):
        return {
            "ones": Table([[1.0]] * gpt.block_size),
            "bias": Table([[float(i % 3) for i in range(gpt.embed)]] * gpt.block_size),
        }

    def __call__(self, x, at, a, b, gate, row, column, bank, fc2, ones, bias):
        C = x.shape[-1]
        y = x @ a @ a.T + x * ops.where(a > b, a, 0.5).take([2, 0, 2, 1]).sum().T.max()  # a twice
        y = y + (bias.take(at.places) - row) * (x @ column)
        y = y + x @ bank[1::2].T + x[::2].concat(x[1::2]) * (row + column).take([0]) * bank.total()
        y = y + maximum(x, x.T.T) * ops.max(ops.relu(x[:1].concat(x[:1], x[1:2])))  # ties
        y = (
            at.see("gate", ops.sigmoid(y @ gate)) * convolve(x, ones, at.places) / row.norm()
            + log_softmax(x[1:])[:1] * a.sum().T
        )
        y = (
            see("matmul", y + mean(y) * (row @ column))
            + x.T.T.split_heads(2).merge_heads() * row.reshape(C, 1).T
        )
        return fc2(y) * (visible((x.split_heads(2) @ x.split_heads(2).T).causal(2)).merge_heads()[1:] * 0.3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "chosen", [{"heads": 2}, {"heads": 1, "embed": 4, "mlp": part("mlp", "mlp")}], ids=["both", "a head"]
)
def test_odd_parts_give_the_losses_and_gradients_of_python(chosen):
    chosen = {
        "position": Odd(),
        "mlp": Odder(),
        "layers": 2,
        "batch_size": 5,
        "embed": 8,
        "dropout": 0.1,
    } | chosen
    ours, theirs = (small_trainer(part("backend", name), 4, **chosen) for name in ("c", "python"))
    for name, expected in theirs.gradients().items():
        np.testing.assert_allclose(ours.gradients()[name].tolist(), expected.tolist(), rtol=1e-10, atol=1e-12)
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-11)


class Named:
    """Gives tensors the names of weights, of words of C, and of nothing that C could be called."""

    def weights(self, gpt):
        return {name: Linear(gpt.embed, gpt.embed) for name in ("gate", "N", "carry")}

    def __call__(self, x, at, gate, N, carry):
        y = at.see("gate", ops.sigmoid(at.see("N", gate(x)) ** 2.0))
        for name in (
            "carry",
            "matmul",
            "float",
            "2nd",
            "é",
            "back\\",
            "two\nlines",
            "",
            "mem",
            "*/",
            "long" * 30,
        ):
            y = see(name, N(y) * carry(x) + y)
        return y


def test_names_of_tensors_may_be_those_of_weights_and_words_of_c():
    ours, theirs = (losses(small_trainer(part("backend", name), 4, mlp=Named())) for name in ("c", "numpy"))
    assert ours == pytest.approx(theirs, rel=1e-12)


def refused(f):
    """What is said of an MLP that computes `f` of tokens and a square matrix."""

    class Refused:
        def weights(self, gpt):
            return {"w": Shape(gpt.embed, gpt.embed)}

        def __call__(self, x, at, w):
            return f(x, w, at)

    with pytest.raises(UserError) as caught:
        small_trainer(part("backend", "c"), 2, mlp=Refused()).advance()
    return str(caught.value)


def catches(x, w, at):
    try:
        return x * x.shape[-2]
    except TypeError:
        return x


REFUSED = {
    "must not read the number of tokens": lambda x, w, at: x * (1 / x.shape[-2]),
    "must not read single tokens": lambda x, w, at: x * float(len(at.ids)),
    "without a row for each token": lambda x, w, at: x * x.T.max().T,
    "are not attention scores": lambda x, w, at: x + (w.causal(2).softmax() @ w)[:1].T.max(),
    "weights that are split into heads": lambda x, w, at: x @ w.split_heads(2).sum().merge_heads().T.max(),
    "rows must be tokens": lambda x, w, at: x @ (w @ x.T).T,
    "differs from call to call": lambda x, w, at: x * random(),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_compiled_is_refused_in_a_line_that_names_the_part_and_its_line(message):
    found = refused(REFUSED[message])
    assert (
        re.match(r"backend=c cannot compile \S*<?\w+>? \(test_c_parts.py:\d+\): .*" + message, found)
        and "\n" not in found
    )


def test_a_part_that_catches_the_refusal_is_refused():
    named = r"backend=c cannot compile catches \(test_c_parts.py:\d+\): "
    assert re.match(named + "a part must not read the number of tokens", refused(catches))


def test_named_tensors_and_their_gradients_are_the_values_of_python():
    """Of each document; also attention scores, the pattern before and after dropout, and weights."""
    attention = part("attention", "multihead", window=3, kv_heads=1, dropout=0.3)
    chosen = {"attention": attention, "layers": 2, "batch_size": 4, "dropout": 0.2, "bias": True}
    ours, theirs = (small_trainer(part("backend", name), 6, **chosen) for name in ("c", "python"))
    batch, *_ = theirs.inputs(3)
    blocks, inside = theirs.backend.blocks(batch), []
    weights = {name: w.tracked() for name, w in theirs.weights.items()}
    for block in blocks:
        inside.append({})
        with looking(lambda name, x: inside[-1].setdefault(name, x)):
            (nll,) = theirs.model.objective(weights, block.ids, block.targets, block.masks)
        (nll * block.loss_weight).total().backward()
    names = [name for name in inside[0] if not name.endswith("pattern")]
    names = [
        *names,
        *(f"d.{name}" for name in names),
        "layer1.attention.pattern",
        "d.layer0.attention.pattern",
    ]
    found = ours.train_scan.look(ours.carry, ours.inputs(3), *names)
    for name in names:
        for ours_, tensors in zip(found[name], inside, strict=True):
            x = tensors[name.removeprefix("d.")]
            data = np.array([v.grad if name.startswith("d.") else v.data for v in x.data]).reshape(x.shape)
            seen = np.isfinite(data) if name.endswith("scores") else np.ones_like(data, bool)
            np.testing.assert_allclose(ours_[seen], data[seen], rtol=1e-11, atol=1e-13, err_msg=name)
    with pytest.raises(UserError, match=r"called 'layer0.mlp.pst'; did you mean 'layer0.mlp.post'\?$"):
        ours.train_scan.look(ours.carry, ours.inputs(0), "layer0.mlp.pst")


@pytest.mark.parametrize("state", [lambda w: [w], lambda w: (w, 1), lambda w: {"old": w}])
def test_an_optimizers_state_is_tensors_that_keep_their_form(state):
    class Odd:
        lr = 0.1

        def init(self, w):
            return state(w)

        def update(self, g, state, w, lr, step):
            return w - g * lr, {"new": w}

    with pytest.raises(
        UserError, match=r"^an optimizer's state must be tensors, in tuples and dicts that keep "
    ):
        small_trainer(part("backend", "c"), optimizer=Odd()).advance(1)


@pytest.mark.parametrize("elementwise", [True, False])
def test_states_may_change_places_and_keep_old_weights(elementwise):
    class Moving:
        lr = 0.1

        def init(self, w):
            return w * 0.5, w * 2.0, w * 0.0

        def update(self, g, state, w, lr, step):
            a, b, old = state
            return w - (g + old * 0.1 + a * 0.01) * lr, (b, a, w)

    Moving.elementwise = elementwise
    ours, theirs = (small_trainer(part("backend", name), 6, optimizer=Moving()) for name in ("c", "numpy"))
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-13)
    for (_, one), (_, other) in zip(
        sorted(ours.carry[1].items()), sorted(theirs.carry[1].items()), strict=True
    ):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_allclose(x.data, y.data, rtol=1e-12, atol=1e-15)
