"""Check a part by its kind: gradients, shapes, extreme inputs, equal results on the backends."""

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
from microgpt_lab.core.places import Places, Table
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.hookspecs import EVENTS, MODEL_KINDS
from microgpt_lab.registry.parts import Part, options_of
from microgpt_lab.registry.plugins import collect, part, registry
from microgpt_lab.tensors.tensor import Tensor

# Inputs of activations: large, moderate and the smallest positive float.
POINTS = [-100.0, -3.1, -0.7, -1e-3, 5e-324, 1e-3, 0.4, 2.9, 100.0]


def parts_of(module: Any) -> list[Part]:
    """Return the parts that a plugin module defines."""
    return collect(module, module.__name__)


def check(part: Part) -> None:
    """Check that a part does what its kind must do. AssertionError, with the reason, if it does not."""
    assert part.summary, (
        f"{part.kind}={part.name} has no docstring: its first line describes the part in --help"
    )
    CHECKS[part.kind](part.build())
    check_options(part)
    if part.kind in ("activation", "norm", "optimizer"):
        assert_same_losses(registry().get("backend", "numpy").build(), **{part.kind: part.build()})


def tensor(rows: list[list[float]]) -> Tensor:
    """Return a tensor of the python backend."""
    return Tensor([x for row in rows for x in row], (len(rows), len(rows[0])))


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Return a tensor (height, width) of standard normal numbers."""
    rng = Random(seed)
    return tensor([[rng.gauss(0, 1) for _ in range(width)] for _ in range(height)])


def assert_gradients(
    f: Callable[..., Tensor], *inputs: Tensor, step: float = 1e-6, tolerance: float = 1e-5
) -> None:
    """Check the gradients of `f` against central differences, (f(x + h) - f(x - h)) / 2h.

    The gradients are those of a weighted sum over the result of `f`. `step` is h. `tolerance` is relative and
    absolute.
    """
    leaves = [x.tracked() for x in inputs]
    weights = noise(len(inputs[0].data), 1, seed=7).data

    def value(*tensors: Tensor) -> Any:
        y = f(*tensors)
        factors = Tensor((weights * len(y.data))[: len(y.data)], y.shape)
        return (y * factors).total()

    value(*leaves).backward()
    for i, (x, leaf) in enumerate(zip(inputs, leaves, strict=True)):
        for j, number in enumerate(x.data):
            values = []
            for h in (step, -step):
                data = [*x.data[:j], number + h, *x.data[j + 1 :]]
                values.append(value(*inputs[:i], Tensor(data, x.shape), *inputs[i + 1 :]).item())
            expected = (values[0] - values[1]) / (2 * step)
            close = math.isclose(leaf.data[j].grad, expected, rel_tol=tolerance, abs_tol=tolerance)
            assert close, (
                f"wrong gradient for element {j} ({number}) of input {i}: it is {leaf.data[j].grad}, "
                f"but central differences give {expected}"
            )


def check_activation(f: Callable[[Any], Any]) -> None:
    """Check gradients, finite results, and equal results for floats, Values, and a single Value."""
    moderate = [x for x in POINTS if 1e-4 < abs(x) < 10]
    assert_gradients(f, tensor([moderate]))
    on_floats, on_values = f(tensor([POINTS])).data, f(tensor([POINTS]).tracked()).data
    for x, y, value in zip(POINTS, on_floats, on_values, strict=True):
        assert math.isfinite(y), f"the result for {x} is {y}, which is not finite"
        assert value.data == y, f"the result for {x} is {value.data} with Values but {y} with floats"
        single = f(Value(x)).data
        assert single == y, f"the result for a single Value({x}) is {single}, but in a tensor it is {y}"
    leaves = tensor([POINTS]).tracked()
    f(leaves).backward()
    for x in leaves.data:
        assert math.isfinite(x.grad), f"the gradient at {x.data} is {x.grad}, which is not finite"


def check_norm(norm: Any) -> None:
    """Check shape, gradients, and finite results for inputs of 0, 100 and the smallest float."""
    init = getattr(norm, "init", lambda embed: {})(6)
    learnable = {name: noise(len(rows), len(rows[0]), seed=3) for name, rows in init.items()}
    x = noise(3, 6)
    y = norm(x, **learnable)
    assert y.shape == x.shape, f"the norm changes the shape from {x.shape} to {y.shape}"
    assert_gradients(lambda x, *w: norm(x, **dict(zip(learnable, w, strict=True))), x, *learnable.values())
    for size in (0.0, 1e2, 5e-324):
        finite = all(map(math.isfinite, norm(x * size, **learnable).data))
        assert finite, f"a result is not finite for inputs of about {size}"


def check_optimizer(optimizer: Any) -> None:
    """Check that it minimizes (w - target)² / 2, keeps the shape, and depends only on its arguments.

    An optimizer with `elementwise = True` must give the same numbers for a matrix and for a row.
    """
    for shape in ((4, 6), (1, 6)):
        target, w = noise(*shape), noise(*shape, seed=1)
        state, before = optimizer.init(w), (w - target).norm().item()
        first = optimizer.update(w - target, state, w, optimizer.lr, 0)[0]
        for step in range(300):
            new, state = optimizer.update(w - target, state, w, optimizer.lr * (1 - step / 300), step)
            assert new.shape == w.shape, (
                f"update changes the shape of the weights from {w.shape} to {new.shape}"
            )
            assert step or new.data == first.data, (
                "a second update with the same arguments gives other weights: keep all state in `state`"
            )
            w = new
        after = (w - target).norm().item()
        assert after < before, (
            f"300 steps on the loss (w - target)² / 2 do not reduce it: "
            f"the distance to the target was {before} and is {after}"
        )

    if getattr(optimizer, "elementwise", False):
        g, w = noise(4, 6), noise(4, 6, seed=1)
        row_g, row_w = g.reshape(1, 24), w.reshape(1, 24)
        as_matrix = optimizer.update(g, optimizer.init(w), w, optimizer.lr, 3)[0]
        as_row = optimizer.update(row_g, optimizer.init(row_w), row_w, optimizer.lr, 3)[0]
        assert as_matrix.data == as_row.data, (
            "update gives other numbers for a row (1, 24) than for a matrix (4, 6): remove elementwise = True"
        )


def check_scheduler(scheduler: Callable[[int, int], float]) -> None:
    """Check that the factors are from 0 to 1, and not all 0, for runs of 1 to 1,000 steps."""
    for steps in (1, 2, 10, 1000):
        factors = [scheduler(step, steps) for step in range(steps)]
        for step, factor in enumerate(factors):
            assert 0 <= factor <= 1 + 1e-12, (
                f"the factor at step {step} of {steps} is {factor}, not from 0 to 1"
            )
        assert any(factors), f"all factors of a run of {steps} steps are 0"


def check_dataset(dataset: Callable[[], list[str]]) -> None:
    """Check that it returns the same non-empty strings each time, and asks no question of a task twice."""
    documents = dataset()
    assert documents, "the data set returns no documents"
    for i, document in enumerate(documents):
        assert isinstance(document, str), f"document {i} is of type {type(document).__name__}, not a string"
        assert document, f"document {i} is an empty string"
    assert documents == dataset(), (
        "a second call returns other documents: use a random generator with a fixed seed"
    )
    if after := getattr(getattr(dataset, "func", dataset), "answer_after", None):
        for document in documents:
            assert after in document, (
                f"document '{document}' of a task does not contain answer_after='{after}'"
            )
        questions = Counter(document.partition(after)[0] for document in documents)
        (question, times), *_ = questions.most_common(1)
        assert times == 1, (
            f"the question '{question}' occurs {times} times: the model could memorize its answer"
        )


def check_backend(backend: Any) -> None:
    """Check that it computes what the python backend computes, in each operation and in training.

    It trains with each installed activation, norm and optimizer, also those of other plugins.
    """
    for name, f in OPERATIONS.items():
        assert_same_gradients(backend, f, name)
    assert_same_losses(backend, batch_size=5, dropout=0.2, grad_clip=0.5)
    for each in registry().parts.values():
        if each.kind in ("activation", "norm", "optimizer"):
            assert_same_losses(backend, **{each.kind: each.build()})


TABLE = Table([[0.5, -1.0, 2.0, 0.25], [1.5, 0.0, -0.5, 3.0], [-2.0, 1.0, 0.75, -1.5]])
BARRED = Table([[0.0], [-math.inf]])  # by distance: the token before each is hidden


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
    "places": lambda a, b: a.take(Places(1, 3)) * b.table(TABLE).take(Places(0, 2)),
    "window": lambda a, b: (a.take([1, 2]) @ b.T).causal(2).softmax() ** 2.0,
    "distances": lambda a, b: (
        (a.by_distance(Places(2, 5)) + b.table(BARRED).by_distance(Places(2, 5))).softmax() ** 2.0
    ),
    "one number for each head": lambda a, b: a.by_distance(Places(0, 3)) * b.take([1]).split_heads(4),
    "one condition for each row": lambda a, b: (a[:1] > 0.0).where(a, b),
    "concat of heads": lambda a, b: (
        a.split_heads(2).concat(b.split_heads(2)).merge_heads() * b.table(TABLE).concat(a * 2.0)
    ),
    **{name: lambda a, b, name=name: (a * b).apply(name) for name in ("exp", "tanh", "erf", "sigmoid")},
    **{name: lambda a, b, name=name: (a + b).apply(name) for name in ("softplus", "relu", "abs")},
    **{name: lambda a, b, name=name: (a * a + 0.1).apply(name) * b for name in ("log", "sqrt")},
}


def assert_same_gradients(backend: Any, f: Callable[..., Any], name: str) -> None:
    """Check that `f` of two matrices (3, 4), and its gradients, equal those of the python backend."""
    rows = {"a": noise(3, 4).tolist(), "b": noise(3, 4, seed=1).tolist()}
    results = []
    for each in (backend, registry().get("backend", "python").build()):
        weights = {key: each.tensor(matrix) for key, matrix in rows.items()}
        value, grads = each.value_and_grad(lambda w: (f(w["a"], w["b"]) * 0.7).total(), weights)
        plain = f(weights["a"], weights["b"]).tolist()
        results.append([value.item(), *chain(*plain, *grads["a"].tolist(), *grads["b"].tolist())])
    for x, y in zip(*results, strict=True):
        assert math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12), (
            f"a result or gradient of the operation '{name}' is {x}, but {y} on the python backend"
        )


def small_trainer(backend: Any, steps: int = 20, **chosen: Any) -> Trainer:
    """Return a trainer for a small model on a few names.

    chosen: built parts by kind, and options of GPT and Trainer.
    """
    parts = {"activation": "relu", "norm": "rmsnorm", "optimizer": "adam", "scheduler": "linear"}
    built = {kind: chosen.pop(kind, None) or part(kind, name) for kind, name in parts.items()}
    built |= {kind: chosen.pop(kind) for kind in MODEL_KINDS if kind in chosen}
    sizes: dict[str, Any] = {name: chosen.pop(name) for name in options_of(GPT) if name in chosen}
    sizes = {"embed": 8, "heads": 2, "block_size": 7} | sizes
    documents = ["anna", "bo", "caroline", "d", "ed", "florence"] * 8
    corpus = Corpus(documents, split="none", block_size=sizes["block_size"])
    model = GPT(corpus.vocab_size, **{kind: built[kind] for kind in MODEL_KINDS if kind in built}, **sizes)
    return Trainer(model, corpus, built["optimizer"], built["scheduler"], backend, steps=steps, **chosen)


def losses(trainer: Trainer) -> list[float]:
    """Train to the last step and return the training loss of each step."""
    result: list[float] = []
    while trainer.step < trainer.steps:
        steps = min(trainer.backend.fused, trainer.steps - trainer.step)
        result += [metrics["loss/train"] for metrics in trainer.advance(steps)]
    return result


def assert_same_losses(backend: Any, steps: int = 20, tolerance: float = 1e-9, **chosen: Any) -> None:
    """Check that training a small model gives the same losses as on the python backend."""
    expected = losses(small_trainer(registry().get("backend", "python").build(), steps, **chosen))
    result = losses(small_trainer(backend, steps, **chosen))
    for step, (x, y) in enumerate(zip(result, expected, strict=True), start=1):
        assert abs(x - y) <= tolerance, (
            f"the loss of step {step} is {x} on {type(backend).__name__}, but {y} on the python backend"
        )


def check_callback(callback: Any) -> None:
    """Check that at least one method has the name of a hook."""
    assert any(hasattr(callback, event) for event in EVENTS), (
        f"the callback has no method that is called during a run: define one of {', '.join(EVENTS)}"
    )


CHECKS: dict[str, Callable[[Any], None]] = {
    "activation": check_activation,
    "norm": check_norm,
    "optimizer": check_optimizer,
    "scheduler": check_scheduler,
    "dataset": check_dataset,
    "backend": check_backend,
    "callback": check_callback,
}
