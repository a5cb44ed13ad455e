"""Optimizers, compared with the formulas of their papers and with PyTorch.

The formulas are written in plain Python for one number, and run for several steps.
"""

import json
import math

import pytest
from golden.make_pytorch import FIGURES, GRADIENTS, MATRIX, MATRIX_GRADIENTS, START
from golden.make_pytorch import RATE as LR

from microgpt_lab import UserError, part
from microgpt_lab.core.packing import role_argument
from microgpt_lab.registry.plugins import registry


def trajectory(optimizer, rows=1, role="hidden"):
    """Weights of a (rows, n) matrix of this role after each step."""
    tensor, init, update = part("backend", "python").tensor, optimizer.init, optimizer.update

    def matrix(numbers):
        n = len(numbers) // rows
        return tensor([numbers[i * n : i * n + n] for i in range(rows)])

    w = matrix(START)
    state, found = init(w, **role_argument(init, role)), []
    for step, g in enumerate(GRADIENTS):
        lr = LR / (step + 1)  # a scheduled learning rate
        w, state = update(matrix(g), state, w, lr, step, **role_argument(update, role))
        found.append([x for row in w.tolist() for x in row])
    return found


def expected(update):
    """Weights after each step, from `update(w, g, state, lr, t)` for each number; t counts from 1."""
    weights, states, found = list(START), [{} for _ in START], []
    for step, g in enumerate(GRADIENTS):
        weights = [update(*wgs, LR / (step + 1), step + 1) for wgs in zip(weights, g, states)]
        found.append(weights)
    return found


def nearly_equal(a, b):
    return all(
        math.isclose(x, y, rel_tol=1e-12, abs_tol=1e-15)
        for p, q in zip(a, b, strict=True)
        for x, y in zip(p, q, strict=True)
    )


def sgd(momentum, nesterov):
    def update(w, g, s, lr, t):
        s["v"] = momentum * s.get("v", 0.0) + g
        return w - lr * (g + momentum * s["v"] if nesterov else s["v"])

    return update


def adagrad(eps):
    def update(w, g, s, lr, t):
        s["sum"] = s.get("sum", 0.0) + g * g
        return w - lr * g / (math.sqrt(s["sum"]) + eps)

    return update


def rmsprop(rho, eps):
    def update(w, g, s, lr, t):
        s["v"] = rho * s.get("v", 0.0) + (1 - rho) * g * g
        return w - lr * g / (math.sqrt(s["v"]) + eps)

    return update


def adamw(beta1, beta2, eps, weight_decay=0.0, factor=1.0):
    def update(w, g, s, lr, t):
        lr *= factor
        s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
        s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g * g
        m_hat, v_hat = s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
        return w - lr * (m_hat / (math.sqrt(v_hat) + eps) + weight_decay * w)

    return update


def lion(beta1, beta2, weight_decay):
    def update(w, g, s, lr, t):
        c = beta1 * s.get("m", 0.0) + (1 - beta1) * g
        s["m"] = beta2 * s.get("m", 0.0) + (1 - beta2) * g
        return w - lr * ((c > 0) - (c < 0) + weight_decay * w)

    return update


# First the defaults: a gradient as small as eps makes eps visible. Then large eps and decay, and betas far
# from 1, so that a wrong factor changes the result.
FORMULAS = {
    "adagrad by default": ({}, adagrad(1e-10)),
    "rmsprop by default": ({}, rmsprop(0.99, 1e-8)),
    "adam by default": ({}, adamw(0.85, 0.99, 1e-8)),
    "adamw by default": ({}, adamw(0.9, 0.999, 1e-8, 0.01)),
    "lion by default": ({}, lion(0.9, 0.99, 0.0)),
    "sgd": ({}, sgd(0.0, False)),
    "sgd with momentum": ({"momentum": 0.6}, sgd(0.6, False)),
    "sgd, Nesterov's": ({"momentum": 0.6, "nesterov": True}, sgd(0.6, True)),
    "adagrad": ({"eps": 0.5}, adagrad(0.5)),
    "rmsprop": ({"rho": 0.7, "eps": 0.5}, rmsprop(0.7, 0.5)),
    "adam": ({"beta1": 0.6, "beta2": 0.7, "eps": 0.5}, adamw(0.6, 0.7, 0.5)),
    "adamw": ({"beta1": 0.6, "beta2": 0.7, "eps": 0.5, "weight_decay": 0.4}, adamw(0.6, 0.7, 0.5, 0.4)),
    "lion": ({"beta1": 0.6, "beta2": 0.8, "weight_decay": 0.4}, lion(0.6, 0.8, 0.4)),
    "lion without decay": ({"beta1": 0.9, "beta2": 0.3}, lion(0.9, 0.3, 0.0)),
}


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", FORMULAS)
def test_steps_equal_the_formula_of_the_paper(name, rows):
    options, update = FORMULAS[name]
    optimizer = part("optimizer", name.split()[0].strip(","), lr=LR, **options)
    assert nearly_equal(trajectory(optimizer, rows), expected(update))


PYTORCH = json.loads(FIGURES.read_text())


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    PYTORCH["optimizers"],
    ids=[f"{n} {o}" for n, o, _ in PYTORCH["optimizers"]],
)
def test_steps_equal_pytorch(name, options, expected):
    assert nearly_equal(trajectory(part("optimizer", name, lr=LR, **options)), expected)


def test_a_weight_with_gradient_0_does_not_change():
    for name in registry().names("optimizer"):
        decay = {"weight_decay": 0.0} if name in ("adamw", "lion") else {}
        assert {row[2] for row in trajectory(part("optimizer", name, **decay))} == {2.0}


@pytest.mark.parametrize(
    ("role", "rows"),
    [("embedding", 2), ("head", 3), ("scale", 1), ("scale", 2), ("hidden", 1), ("residual", 6)],
)
def test_muon_takes_adamws_step_for_all_but_matrices_of_hidden_layers(role, rows):
    options = {"beta1": 0.6, "beta2": 0.7, "eps": 0.5, "weight_decay": 0.4}
    muon = part("optimizer", "muon", lr=LR, adam_lr=0.12, **options)
    assert nearly_equal(trajectory(muon, rows, role), expected(adamw(0.6, 0.7, 0.5, 0.4, factor=0.12 / LR)))


def newton_schulz(x, rounds=5):
    """Newton-Schulz iteration of Jordan et al. (2024), in NumPy."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / ((x**2).sum() ** 0.5 + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("role", ["hidden", "residual"])
@pytest.mark.parametrize(("out", "in_"), [(2, 5), (5, 2), (3, 3)])
def test_muon_orthogonalizes_its_momentum(out, in_, role):
    numpy = pytest.importorskip("numpy")
    rng, tensor = numpy.random.default_rng(0), part("backend", "python").tensor
    muon = part("optimizer", "muon", lr=LR, momentum=0.6, weight_decay=0.4)
    start = rng.normal(size=(out, in_))
    w, expected = tensor(start.tolist()), start
    state, v = muon.init(w, role), numpy.zeros((out, in_))
    for step in range(4):
        g, lr = rng.normal(size=(out, in_)), LR / (step + 1)
        w, state = muon.update(tensor(g.tolist()), state, w, lr, step, role)
        v = 0.6 * v + g
        expected = expected * (1 - lr * 0.4)
        expected -= lr * max(1, out / in_) ** 0.5 * newton_schulz(g + 0.6 * v)
        numpy.testing.assert_allclose(numpy.array(w.tolist()), expected, rtol=1e-9)


def test_muon_nearly_equals_pytorch():
    """PyTorch orthogonalizes in bfloat16, which has 8 significant bits."""
    tensor = part("backend", "python").tensor
    muon, w = part("optimizer", "muon", lr=LR), tensor(MATRIX)
    state = muon.init(w, "hidden")
    for step, (g, expected) in enumerate(zip(MATRIX_GRADIENTS, PYTORCH["muon"], strict=True)):
        w, state = muon.update(tensor(g), state, w, LR / (step + 1), step, "hidden")
        for row, wanted in zip(w.tolist(), expected, strict=True):
            assert row == pytest.approx(wanted, abs=0.05 * LR)


def test_muon_does_not_depend_on_the_size_of_the_gradient():
    tensor = part("backend", "python").tensor
    steps = []
    for size in (1e-3, 1.0, 1e3):
        muon, w = part("optimizer", "muon"), tensor([[0.0, 0.0], [0.0, 0.0]])
        g, state = tensor([[3 * size, size], [-size, size]]), muon.init(w, "hidden")
        new, _ = muon.update(g, state, w, 1.0, 0, "hidden")
        steps.append([x for row in new.tolist() for x in row])
    assert all(math.isclose(x, y, rel_tol=1e-3) for step in steps for x, y in zip(step, steps[1]))


def test_muon_refuses_a_learning_rate_of_0():
    """`adam_lr` has the schedule of `lr`, which is lost if `lr` is 0."""
    with pytest.raises(UserError, match=r"^optimizer=muon: optimizer\.lr must be above 0, not 0\.0$"):
        part("optimizer", "muon", lr=0.0)


@pytest.mark.parametrize("role", ["embedding", "hidden", "residual", "head", "scale"])
def test_adamw_knows_what_decays_and_how_fast_it_learns(role):
    mults = {"embedding_lr_mult": 0.5, "head_lr_mult": 3.0, "scale_lr_mult": 0.25}
    optimizer = part("optimizer", "adamw", lr=LR, weight_decay=0.4, decay="linear", **mults)
    decay = 0.0 if role in ("embedding", "scale") else 0.4
    factor = mults.get(f"{role}_lr_mult", 1.0)
    wanted = expected(adamw(0.9, 0.999, 1e-8, decay, factor))
    assert nearly_equal(trajectory(optimizer, 2, role), wanted)


def test_all_optimizers_but_muon_are_elementwise():
    """Elementwise optimizers update all weights as one row, which is faster. Muon needs matrices."""
    names = {"adagrad", "adam", "adamw", "lion", "muon", "rmsprop", "sgd"}
    elementwise = {n: getattr(part("optimizer", n), "elementwise", False) for n in names}
    assert elementwise == dict.fromkeys(names, True) | {"muon": False}


@pytest.mark.parametrize(
    "wrong",
    [{"beta1": 1.0}, {"beta1": 1.5}, {"beta1": -0.1}, {"beta2": 1.0}, {"beta2": 1.5}, {"beta2": -0.1}],
    ids=str,
)
@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_betas_are_from_0_to_below_1(name, wrong):
    ((beta, value),) = wrong.items()
    with pytest.raises(UserError, match=f"optimizer={name}: .*{beta}.*{value}"):
        part("optimizer", name, **wrong)
    part("optimizer", name, **{beta: 0.0})


def test_nesterov_needs_a_momentum():
    with pytest.raises(UserError) as caught:
        part("optimizer", "sgd", nesterov=True)
    assert str(caught.value).endswith("nesterov=true needs a momentum, such as 0.9")
