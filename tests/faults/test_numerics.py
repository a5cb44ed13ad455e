"""Promise: no number makes the arithmetic crash or turn complex."""

import math

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgpt_lab import GPT, Corpus, Trainer, ops, part
from microgpt_lab.core.autograd import Value
from microgpt_lab.registry.plugins import registry

BACKENDS = ["python", "numpy", "jax", pytest.param("c", marks=pytest.mark.slow)]
THOROUGH = ["python", "numpy", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("jax", "c"))]
MOST = 1.7976931348623157e308
EXTREMES = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2e-308,
    1e-154,
    1.0,
    -1.0,
    709.8,
    -745.2,
    1e154,
    1e308,
    -1e308,
    MOST,
]
number = st.one_of(st.sampled_from(EXTREMES), st.floats(allow_nan=False, allow_infinity=False))
rows = st.lists(number, min_size=1, max_size=5).map(lambda row: [row])
FUNCTIONS = [
    "exp",
    "log",
    "sqrt",
    "tanh",
    "erf",
    "sigmoid",
    "softplus",
    "relu",
    "abs",
    "logsumexp",
    "softmax",
]
FUNCTIONS += ["log_softmax", "sum", "mean", "max"]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def flat(tensor):
    return [x for row in tensor.tolist() for x in row]


def gradient(backend, f, x):
    """Gradient of the sum of f(x)."""
    return backend.value_and_grad(lambda w: f(w["x"]).total(), {"x": x})[1]["x"]


def nearly_equal(a, b):
    """True if numbers are equal, both NaN, or differ only by the order of a sum."""
    return all(
        x == y or (x != x and y != y) or math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-300)
        for x, y in zip(a, b, strict=True)
    )


@settings(max_examples=150, deadline=None)
@given(rows, st.sampled_from(FUNCTIONS))
@example([[1e308, -1e308]], "log_softmax")
@example([[-1e308] * 3], "logsumexp")
@example([[5e-324]], "softmax")
def test_functions_give_the_same_numbers_on_python_and_numpy(x, name):
    python, array = part("backend", "python"), part("backend", "numpy")
    results = []
    for backend in (python, array):
        tensor = backend.tensor(x)
        results.append(flat(getattr(ops, name)(tensor)))
        flat(gradient(backend, getattr(ops, name), tensor))
        assert all(type(y) is float for y in results[-1])
    assert nearly_equal(*results)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_softmax_and_its_logarithm_are_accurate_at_any_size(x):
    for backend in ("python", "numpy"):
        tensor = part("backend", backend).tensor(x)
        probabilities, logs = flat(ops.softmax(tensor)), flat(ops.log_softmax(tensor))
        assert math.isclose(sum(probabilities), 1, rel_tol=1e-12)
        exact = [numpy.longdouble(v) - max(map(numpy.longdouble, x[0])) for v in x[0]]
        total = numpy.log(sum(numpy.exp(v) for v in exact))
        assert all(
            math.isclose(log, float(v - total), rel_tol=1e-9, abs_tol=1e-9) or float(v - total) < -1e15
            for log, v in zip(logs, exact)
        )


@settings(max_examples=60, deadline=None)
@given(x=rows, name=st.sampled_from(registry().names("activation")))
def test_activations_never_crash_or_turn_complex(x, name):
    activation = part("activation", name)
    for backend in (part("backend", b) for b in ("python", "numpy")):
        tensor = backend.tensor(x)
        assert all(
            type(y) is float for y in flat(activation(tensor)) + flat(gradient(backend, activation, tensor))
        )
    value = activation(Value(x[0][0]))
    value.backward()
    assert type(value.data) is float


@settings(max_examples=60, deadline=None)
@given(x=rows, name=st.sampled_from(registry().names("norm")))
def test_norms_never_crash_or_turn_complex(x, name):
    """Results are finite for numbers below 1e150. Squares of numbers above 1e154 overflow (divergence.py)."""
    norm = part("norm", name)
    for backend in (part("backend", b) for b in ("python", "numpy")):
        learned = (
            {n: backend.tensor(w) for n, w in norm.init(len(x[0])).items()} if hasattr(norm, "init") else {}
        )
        y = flat(norm(backend.tensor(x), **learned))
        assert all(type(v) is float for v in y)
        if max(map(abs, x[0])) < 1e150:
            assert all(map(math.isfinite, y))
        flat(gradient(backend, lambda w: norm(w, **learned), backend.tensor(x)))  # noqa: B023


@settings(max_examples=150, deadline=None)
@given(number, st.sampled_from([0.5, -0.5, 1.5, 2, 3, -1, -2, 0, 1e308]))
def test_powers_are_never_complex(x, n):
    if str(x) == "-0.0" and n == -0.5:
        return  # 1 / √-0 is -∞, but pow(-0, -0.5) is ∞: both conventions exist
    results = [flat(part("backend", b).tensor([[x]]) ** n)[0] for b in ("python", "numpy")]
    assert all(type(y) is float for y in results) and nearly_equal(results[:1], results[1:])
    value = Value(x) ** n
    value.backward()
    assert type(value.data) is float


@pytest.mark.parametrize("backend", THOROUGH)
@pytest.mark.parametrize(
    ("documents", "options"),
    [
        (["a"] * 30, {}),  # a vocabulary of one character
        (["ab", "b"] * 15, {"block_size": 1}),
        (["ab", "b"] * 15, {"block_size": 1, "embed": 1, "heads": 1}),
        ([chr(i) for i in range(33, 300)], {}),  # every document is another character
    ],
    ids=["one character", "block of 1", "width 1", "many characters"],
)
def test_the_smallest_models_train_and_sample(backend, documents, options):
    corpus = Corpus(documents, block_size=options.get("block_size", 16))
    model = GPT(
        corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **({"embed": 8} | options)
    )
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    run = Trainer(model, corpus, *parts, steps=5, batch_size=2)
    run.train()
    assert run.step == 5 and math.isfinite(run.evaluate(run.held_out)) and len(run.sample(samples=3)) == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_vocabulary_of_one_token_has_loss_0(backend):
    model = GPT(1, part("activation", "relu"), part("norm", "rmsnorm"), embed=8, heads=2, block_size=4)
    tensor = part("backend", backend).tensor
    weights = {n: tensor(w) for n, w in model.initial_weights(Corpus(["a"] * 9).rng).items()}
    assert flat(model.nll(weights, [0, 0, 0], [0, 0, 0])) == [0.0] * 3
