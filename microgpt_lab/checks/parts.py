"""Check a part by its kind: gradients, shapes, extremes, equality with the python backend."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import chain
from random import Random
from typing import Any

from microgpt_lab.checks.options import check_options
from microgpt_lab.core.autograd import Value
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.model import GPT
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.hookspecs import EVENTS
from microgpt_lab.registry.parts import Part, options_of
from microgpt_lab.registry.plugins import collect, part, registry
from microgpt_lab.tensors.tensor import Tensor

POINTS = [-100.0, -3.1, -0.7, -1e-3, 5e-324, 1e-3, 0.4, 2.9, 100.0]


def parts_of(module: Any) -> list[Part]:
    """The parts that a plugin module offers."""
    return collect(module, module.__name__)


def check(part: Part) -> None:
    """AssertionError if the part is not what its kind should be."""
    assert part.summary, f"{part.kind}={part.name} needs a docstring"
    CHECKS[part.kind](part.build())
    check_options(part)
    if part.kind in ("activation", "norm", "optimizer"):
        assert_same_losses(registry().get("backend", "numpy").build(), **{part.kind: part.build()})


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
        state, before = optimizer.init(w), (w - target).norm().item()
        again = optimizer.update(w - target, state, w, optimizer.lr, 0)[0]
        for step in range(300):
            new, state = optimizer.update(w - target, state, w, optimizer.lr * (1 - step / 300), step)
            assert new.shape == w.shape
            assert step or new.data == again.data, "update must not depend on anything but its arguments"
            w = new
        assert (w - target).norm().item() < before, "does not go downhill on (w - target)² / 2"

    if getattr(optimizer, "elementwise", False):
        g, w = noise(4, 6), noise(4, 6, seed=1)
        row_g, row_w = g.reshape(1, 24), w.reshape(1, 24)
        as_matrix = optimizer.update(g, optimizer.init(w), w, optimizer.lr, 3)[0]
        as_row = optimizer.update(row_g, optimizer.init(row_w), row_w, optimizer.lr, 3)[0]
        assert as_matrix.data == as_row.data, "not elementwise: a row gives other numbers than a matrix"


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
    if after := getattr(getattr(dataset, "func", dataset), "answer_after", None):
        assert all(after in document for document in documents), f"a task without '{after}'"
        questions = Counter(document.partition(after)[0] for document in documents)
        (question, times), *_ = questions.most_common(1)
        assert times == 1, f"'{question}' is asked {times} times: held out, its answer would be known"


def check_backend(backend: Any) -> None:
    """It computes what the python backend computes: single operations, then training with each part.

    The third-party parts that are installed are held to it as well; see also `assert_same_losses`.
    """
    for name, f in OPERATIONS.items():
        assert_same_gradients(backend, f, name)
    assert_same_losses(backend, batch_size=5, dropout=0.2, grad_clip=0.5)
    for each in registry().parts.values():
        if each.kind in ("activation", "norm", "optimizer"):
            assert_same_losses(backend, **{each.kind: each.build()})


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b * 2.0 + 1.0,
    "subtract": lambda a, b: 1.0 - (a - b) - 0.5,
    "multiply": lambda a, b: a * b * (a * a),
    "divide": lambda a, b: 3.0 / (b * b + 1.0) + a / (b * b + 2.0) / 7.0,
    "power": lambda a, b: a**2 + b**3.0 + (a * a + 1.0) ** -0.5 + (b * b + 1.0) ** 1.5 - a**1,
    "columns and rows": lambda a, b: a * b[:1] + b[1:2] / (a[2:].sum() + 20.0) + a.reshape(4, 3)[:2].total(),
    "matrix product": lambda a, b: (a @ b.T) @ (b + a),
    "heads": lambda a, b: (
        (a.split_heads(2) @ b.split_heads(2).T).causal().softmax() @ a.split_heads(2)
    ).merge_heads(),
    "slice and concat": lambda a, b: a[1:3].concat(b, a[:1]) ** 2.0,
    "where": lambda a, b: (a > b).where(a * 2.0, b) + (a < 0.0).where(1.0, a),
    "reductions": lambda a, b: a.sum() * b.max() + a.logsumexp() * b.total() - a.softmax(),
    "rows and numbers": lambda a, b: a.take([2, 0, 2]) * b.pick([1, 3, 0]) + a.take(range(3)),
    **{name: lambda a, b, name=name: (a * b).apply(name) for name in ("exp", "tanh", "erf", "sigmoid")},
    **{name: lambda a, b, name=name: (a + b).apply(name) for name in ("softplus", "relu", "abs")},
    **{name: lambda a, b, name=name: (a * a + 0.1).apply(name) * b for name in ("log", "sqrt")},
}


def assert_same_gradients(backend: Any, f: Callable[..., Any], name: str) -> None:
    """f of two matrices (3, 4), and its gradients, are those of the python backend."""
    rows = {"a": noise(3, 4).tolist(), "b": noise(3, 4, seed=1).tolist()}
    results = []
    for each in (backend, registry().get("backend", "python").build()):
        weights = {key: each.tensor(matrix) for key, matrix in rows.items()}
        value, grads = each.value_and_grad(lambda w: (f(w["a"], w["b"]) * 0.7).total(), weights)
        plain = f(weights["a"], weights["b"]).tolist()
        results.append([value.item(), *chain(*plain, *grads["a"].tolist(), *grads["b"].tolist())])
    close = [math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in zip(*results, strict=True)]
    assert all(close), f"{name}: {results[0]} is not {results[1]}"


def small_trainer(backend: Any, steps: int = 20, **chosen: Any) -> Trainer:
    """A small model on a few names; `chosen` are built parts, and options of GPT and Trainer."""
    parts = {"activation": "relu", "norm": "rmsnorm", "optimizer": "adam", "scheduler": "linear"}
    built = {kind: chosen.pop(kind, None) or part(kind, name) for kind, name in parts.items()}
    sizes: dict[str, Any] = {name: chosen.pop(name) for name in options_of(GPT) if name in chosen}
    sizes = {"embed": 8, "heads": 2, "block_size": 7} | sizes
    documents = ["anna", "bo", "caroline", "d", "ed", "florence"] * 8
    corpus = Corpus(documents, split="none", block_size=sizes["block_size"])
    model = GPT(corpus.vocab_size, built["activation"], built["norm"], **sizes)
    return Trainer(model, corpus, built["optimizer"], built["scheduler"], backend, steps=steps, **chosen)


def losses(trainer: Trainer) -> list[float]:
    """Of each step, to the end."""
    found: list[float] = []
    while trainer.step < trainer.steps:
        steps = min(trainer.backend.fused, trainer.steps - trainer.step)
        found += [metrics["loss/train"] for metrics in trainer.advance(steps)]
    return found


def assert_same_losses(backend: Any, steps: int = 20, tolerance: float = 1e-9, **chosen: Any) -> None:
    """The losses of a small model's training are those of the python backend."""
    expected = losses(small_trainer(registry().get("backend", "python").build(), steps, **chosen))
    found = losses(small_trainer(backend, steps, **chosen))
    for step, (x, y) in enumerate(zip(found, expected, strict=True), start=1):
        assert abs(x - y) <= tolerance, f"step {step}: loss {x}, but {y} on the python backend"


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
