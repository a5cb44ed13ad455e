"""Value and Tensor: derivatives, IEEE arithmetic, shapes."""

import math
from operator import add, mul, sub, truediv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgpt_lab import Tensor, Value, ops
from microgpt_lab.core.floats import FUNCTIONS
from microgpt_lab.testing import assert_gradients, noise, tensor

moderate = st.floats(-20, 20).filter(lambda x: abs(x) > 1e-2)
any_float = st.floats(allow_nan=True, allow_infinity=True)


def central_difference(f, *xs, i, h=1e-6):
    up, down = list(xs), list(xs)
    up[i], down[i] = xs[i] + h, xs[i] - h
    return (f(*map(Value, up)).data - f(*map(Value, down)).data) / (2 * h)


@given(moderate, moderate)
@pytest.mark.parametrize("f", [add, sub, mul, truediv, lambda a, b: 3.0 - a * b, lambda a, b: 2.0 / a + b**3])
def test_gradients_of_arithmetic_equal_central_differences(f, x, y):
    a, b = Value(x), Value(y)
    f(a, b).backward()
    for i, value in enumerate((a, b)):
        assert value.grad == pytest.approx(central_difference(f, x, y, i=i), rel=1e-4, abs=1e-4)


@given(st.floats(0.05, 4), st.sampled_from([-1.0, 1.0]))
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_gradients_of_functions_equal_central_differences(name, size, sign):
    x = abs(size) if name in ("log", "sqrt") else size * sign
    a = Value(x)
    a.apply(name).backward()
    assert a.grad == pytest.approx(central_difference(lambda v: v.apply(name), x, i=0), rel=1e-4, abs=1e-6)


@given(any_float, any_float)
def test_no_value_raises_or_turns_complex(x, y):
    a, b = Value(x), Value(y)
    results = [
        a + b,
        a - b,
        a * b,
        a / b,
        a**2,
        a**-1,
        a**0.5,
        a**-0.5,
        *(a.apply(name) for name in FUNCTIONS),
    ]
    for result in results:
        assert isinstance(result.data, float)
        result.backward()


@given(any_float)
def test_nan_stays_nan(x):
    assert math.isnan(Value(math.nan).apply("relu").data)
    assert math.isnan((Value(math.nan) * x).data)


def test_a_value_used_twice_gets_both_gradients():
    a = Value(3.0)
    (a * a + a).backward()
    assert a.grad == 7.0


def test_deep_graphs_do_not_recurse():
    x = start = Value(1.0)
    for _ in range(20_000):
        x = x + 1e-3
    x.backward()
    assert start.grad == 1.0


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 1.0),
    "matmul": lambda a, b: a @ b.T,
    "where": lambda a, b: ops.where(a > b, a * 2.0, b),
    "maximum": ops.maximum,
    "concat": lambda a, b: a.concat(b) ** 2.0,
    "row": lambda a, b: a * b[:1].T[:1],
    "column": lambda a, b: a / (b[1:2] ** 2.0 + 1.0),
}


@pytest.mark.parametrize("name", BINARY)
def test_gradients_of_binary_ops(name):
    assert_gradients(BINARY[name], noise(3, 4), noise(3, 4, seed=1))


UNARY = {
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "logsumexp": ops.logsumexp,
    "sum": ops.sum,
    "mean": ops.mean,
    "max": ops.max,
    "exp": ops.exp,
    "log": lambda x: ops.log(x * x + 0.1),
    "sqrt": lambda x: ops.sqrt(x * x + 0.1),
    "tanh": ops.tanh,
    "erf": ops.erf,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "relu": ops.relu,
    "abs": ops.abs,
    "power": lambda x: x**3.0,
    "transpose": lambda x: x.T * x.T,
    "slice": lambda x: x[1:3] * 2.0,
    "heads": lambda x: (x.split_heads(2) * x.split_heads(2)).merge_heads(),
    "attention": lambda x: ops.softmax((x.split_heads(2) @ x.split_heads(2).T).causal()) @ x.split_heads(2),
    "take": lambda x: x.take([2, 0, 2]) ** 2.0,
    "pick": lambda x: x.pick([1, 3, 0]) ** 2.0,
    "total": lambda x: x.total() ** 2.0,
    "reversed": lambda x: 1.0 / (2.0 - x.apply("sigmoid")),
}


@pytest.mark.parametrize("name", UNARY)
def test_gradients_of_unary_ops(name):
    assert_gradients(UNARY[name], noise(3, 4))


@pytest.mark.parametrize("name", UNARY)
def test_floats_and_values_give_the_same_numbers(name):
    x = noise(3, 4)
    assert UNARY[name](x).data == UNARY[name](x.tracked()).detach().data


def test_a_matrix_product_makes_one_value_per_number():
    a, b = noise(2, 3).tracked(), noise(3, 5).tracked()
    y = a @ b
    assert len(y.data) == 10
    assert y.data[7].parents == (*a.data[3:6], *b.data[2::5])
    assert y.data[7].local_grads == [x.data for x in (*b.data[2::5], *a.data[3:6])]


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 6))
def test_tensor_backward_equals_value_backward(height, inner, width):
    """Ordering whole Tensors, with four products at a time, gives the gradients of single Values."""
    grads = []
    for start in (Tensor.backward, lambda y: y.data[0].backward()):
        a, b = noise(height, inner).tracked(), noise(inner, width, seed=1).tracked()
        start(ops.tanh(a @ b).total())
        grads.append([x.grad for x in (*a.data, *b.data)])
    assert grads[0] == pytest.approx(grads[1], rel=1e-12, abs=1e-15)


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=5))
def test_softmax_is_a_distribution_at_any_size(row):
    y = ops.softmax(tensor([row])).data
    assert all(0 <= p <= 1 for p in y)
    assert sum(y) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (2, 3)), ((2, 3), (4, 2))], ids=["rows by rows", "wrong inner length"]
)
def test_products_of_wrong_shapes_are_an_error(a, b):
    with pytest.raises(ValueError, match="cannot multiply"):
        noise(*a) @ noise(*b)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (4, 3)), ((2, 2, 3), (3, 2, 3))])
def test_shapes_that_do_not_broadcast_are_an_error(a, b):
    with pytest.raises(ValueError, match="cannot be broadcast together"):
        Tensor([1.0] * math.prod(a), a) + Tensor([1.0] * math.prod(b), b)


def test_the_root_of_a_negative_value_is_nan():
    y = tensor([[1.0, -1.0]]).tracked() ** 0.5
    y.total().backward()
    assert y.data[0].data == 1.0 and math.isnan(y.data[1].data)


def test_where_and_maximum_of_values_are_values():
    for y in (ops.maximum(Value(-1.0), 0.0), ops.where(Value(-1.0) > 0, 1.0, 0.0)):
        assert isinstance(y, Value) and y.data == 0.0


def test_sums_of_wrong_shapes_are_an_error():
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 4\)"):
        noise(2, 3) + noise(2, 4)


def test_values_compute_like_floats():
    x, y = Value(2.0), Value(-3.0)
    found = [-x, 3.0 - x, x - 3.0, 6.0 / x, x / 8.0, 2.0 + x, 5.0 * x, x + y, x - y, x * y, x / y, x**3]
    floats = [-2.0, 1.0, -1.0, 3.0, 0.25, 4.0, 10.0, -1.0, 5.0, -6.0, 2.0 / -3.0, 8.0]
    assert [value.data for value in found] == floats
    for value, gradient in zip(found, [-1.0, -1.0, 1.0, -1.5, 0.125, 1.0, 5.0, 1.0, 1.0, -3.0, -1 / 3, 12.0]):
        x.grad = 0.0
        value.backward()
        assert x.grad == pytest.approx(gradient, rel=1e-15)


@pytest.mark.parametrize("x", [0.0, 2.0])
def test_the_power_0_is_1_with_gradient_0(x):
    value = Value(x)
    one = value**0
    one.backward()
    assert one.data == 1.0 and value.grad == 0.0


def test_equal_numbers_are_neither_greater_nor_less():
    x = Value(2.0)
    assert not (x > 2.0 or x < 2.0 or x > Value(2.0) or x < Value(2.0))
    assert x > 1.0 and x < 3.0 and Value(3.0) > x and Value(1.0) < x
    assert not (x > 3.0 or x < 1.0)


def test_the_repr_of_a_value_shows_data_and_gradient():
    assert repr(Value(2.0)) == "Value(data=2, grad=0)"
    y = Value(1 / 3) * 2.0
    y.backward()
    assert repr(y) == "Value(data=0.666667, grad=1)"


def test_an_item_is_a_float():
    assert type(noise(1, 1).tracked().item()) is float and type(noise(1, 1).item()) is float


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5))
def test_log_softmax_is_the_logarithm_of_softmax(row):
    probabilities, logs = ops.softmax(tensor([row])).data, ops.log_softmax(tensor([row])).data
    assert [math.exp(x) for x in logs] == pytest.approx(probabilities, rel=1e-9, abs=1e-300)
