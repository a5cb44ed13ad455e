"""What plugin authors test with: `check` holds a part to what the lab expects of its kind.

from microgpt_lab.testing import check, parts_of

@pytest.mark.parametrize("part", parts_of(my_module), ids=str)
def test_part(part):
    check(part)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

from microgpt_lab.autograd import Value
from microgpt_lab.plugins import EVENTS, Part, collect, registry
from microgpt_lab.tensor import Tensor

POINTS = [-100.0, -3.1, -0.7, -1e-3, 5e-324, 1e-3, 0.4, 2.9, 100.0]


def parts_of(module: Any) -> list[Part]:
    """The parts that a plugin module offers."""
    return collect(module, module.__name__)


def check(part: Part) -> None:
    """AssertionError if the part is not what its kind should be."""
    assert part.summary, f"{part.kind}={part.name} needs a docstring"
    CHECKS[part.kind](part.build())


def tensor(rows: list[list[float]]) -> Tensor:
    return Tensor([x for row in rows for x in row], (len(rows), len(rows[0])))


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Standard normal numbers."""
    rng = Random(seed)
    return tensor([[rng.gauss(0, 1) for _ in range(width)] for _ in range(height)])


def assert_gradients(
    f: Callable[..., Tensor], *inputs: Tensor, step: float = 1e-6, tolerance: float = 1e-5
) -> None:
    """The gradients of the sum of `f` equal central differences, (f(x + h) - f(x - h)) / 2h."""
    leaves = [x.tracked() for x in inputs]
    weights = noise(len(inputs[0].data), 1, seed=7).data

    def value(*tensors: Tensor) -> Any:
        y = f(*tensors)
        factors = Tensor((weights * len(y.data))[: len(y.data)], y.shape)
        return (y * factors).total()

    value(*leaves).backward()
    for i, (x, leaf) in enumerate(zip(inputs, leaves, strict=True)):
        for j, number in enumerate(x.data):
            ends = []
            for h in (step, -step):
                data = [*x.data[:j], number + h, *x.data[j + 1 :]]
                ends.append(value(*inputs[:i], Tensor(data, x.shape), *inputs[i + 1 :]).item())
            expected = (ends[0] - ends[1]) / (2 * step)
            close = math.isclose(leaf.data[j].grad, expected, rel_tol=tolerance, abs_tol=tolerance)
            assert close, (
                f"input {i}, number {j} ({number}): gradient {leaf.data[j].grad}, difference {expected}"
            )


def check_activation(f: Callable[[Any], Any]) -> None:
    moderate = [x for x in POINTS if 1e-4 < abs(x) < 10]
    assert_gradients(f, tensor([moderate]))
    on_floats, on_values = f(tensor([POINTS])).data, f(tensor([POINTS]).tracked()).data
    for x, y, value in zip(POINTS, on_floats, on_values, strict=True):
        assert math.isfinite(y), f"{y} at {x}"
        assert value.data == y, f"{value.data} on Values but {y} on floats at {x}"
        assert f(Value(x)).data == y, f"another result for a single Value at {x}"
    leaves = tensor([POINTS]).tracked()
    f(leaves).backward()
    assert all(math.isfinite(x.grad) for x in leaves.data), "a gradient is not finite"


def check_norm(norm: Any) -> None:
    init = getattr(norm, "init", lambda embed: {})(6)
    learned = {name: noise(len(rows), len(rows[0]), seed=3) for name, rows in init.items()}
    x = noise(3, 6)
    y = norm(x, **learned)
    assert y.shape == x.shape
    assert_gradients(lambda x, *w: norm(x, **dict(zip(learned, w, strict=True))), x, *learned.values())
    for size in (0.0, 1e2, 5e-324):
        assert all(map(math.isfinite, norm(x * size, **learned).data)), f"not finite at {size}"


def check_optimizer(optimizer: Any) -> None:
    for shape in ((4, 6), (1, 6)):
        target, w = noise(*shape), noise(*shape, seed=1)
        state, before = optimizer.init(w), (w - target).norm()
        again = optimizer.update(w - target, state, w, optimizer.lr, 0)[0]
        for step in range(300):
            new, state = optimizer.update(w - target, state, w, optimizer.lr * (1 - step / 300), step)
            assert new.shape == w.shape
            assert step or new.data == again.data, "update must not depend on anything but its arguments"
            w = new
        assert (w - target).norm() < before, "does not go downhill on (w - target)² / 2"


def check_scheduler(scheduler: Callable[[int, int], float]) -> None:
    for steps in (1, 2, 10, 1000):
        factors = [scheduler(step, steps) for step in range(steps)]
        assert all(0 <= factor <= 1 + 1e-12 for factor in factors), f"outside 0 to 1 in {steps} steps"
        assert any(factors), f"nothing is learned in {steps} steps"


def check_dataset(dataset: Callable[[], list[str]]) -> None:
    documents = dataset()
    assert documents, "no documents"
    assert all(isinstance(document, str) and document for document in documents)
    assert documents == dataset(), "other documents the second time"


def check_backend(backend: Any) -> None:
    python = registry().get("backend", "python").build()

    def loss(w: dict[str, Any]) -> Any:
        return ((w["a"] @ w["b"].T).apply("tanh") * 0.5).total()

    rows = {"a": noise(3, 4).tolist(), "b": noise(5, 4, seed=1).tolist()}
    results = []
    for each in (backend, python):
        value, grads = each.value_and_grad(loss, {name: each.tensor(matrix) for name, matrix in rows.items()})
        results.append([value, *(x for name in rows for row in grads[name].tolist() for x in row)])
    assert all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in zip(*results, strict=True))


def check_callback(callback: Any) -> None:
    assert any(hasattr(callback, event) for event in EVENTS), "has no method that a hook would call"


CHECKS: dict[str, Callable[[Any], None]] = {
    "activation": check_activation,
    "norm": check_norm,
    "optimizer": check_optimizer,
    "scheduler": check_scheduler,
    "dataset": check_dataset,
    "backend": check_backend,
    "callback": check_callback,
}
