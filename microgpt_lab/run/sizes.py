"""Check sizes before anything of that size is allocated: of the model, its weights, tables and batches."""

from __future__ import annotations

from math import prod
from typing import Any

from microgpt_lab.core.backend import Backend
from microgpt_lab.core.interface import ROLES, Shape
from microgpt_lab.core.model import GPT
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.run.probe import chosen
from microgpt_lab.tensors.shapes import size_of

LAYER = 1000  # numbers that take as much memory as the names of the weights in a layer


def check_size(config: dict[str, Any], parts: dict[str, Any]) -> None:
    """Raise ValueError for sizes beyond a backend's limit, before the model is built.

    The estimates are low, and the exact sizes are checked in `check_model` and `check_memory`. Declaring
    weights and tables allocates rows of `embed` or `heads` numbers, so these are limited first.
    """
    keys = ("layers", "heads", "embed", "block_size", "batch_size", "accumulate")
    layers, heads, embed, length, *batch = (max(0, config[key]) for key in keys)
    width = max(embed, heads * (getattr(parts["attention"], "head_dim", 0) or 1))
    sizes = {
        "layers, embed and the width of heads make a model": layers * max(LAYER, 2 * embed * width),
        "block_size, embed and the width of heads make a table": length * width,
        "batch_size, accumulate and block_size make batches": prod(batch) * length,
    }
    check_numbers(sizes, parts["backend"], config)


def check_model(model: GPT, config: dict[str, Any], backend: Backend) -> None:
    """Raise ValueError if the weights have more numbers than the backend allows."""
    weights = {name: shape(name, each, config) for name, each in model.declared.items()}
    largest = max(weights, key=lambda name: prod(weights[name]))
    what = f"the weights ({largest} is {weights[largest]}) make a model"
    check_numbers({what: sum(map(prod, weights.values()))}, backend, config)


def check_numbers(sizes: dict[str, int], backend: Backend, config: dict[str, Any]) -> None:
    """Raise ValueError for the first size that is larger than the backend allows."""
    largest = getattr(backend, "largest", Backend.largest)  # `probe` reports an object that is no backend
    for what, numbers in sizes.items():
        if numbers > largest:
            limit = f"{largest:,}, the limit of backend={config['backend']['name']}"
            raise ValueError(f"{what} of {numbers:.1e} numbers, more than {limit}")


def misdeclared(each: Any) -> str:
    """Return what is wrong with the declaration of a weight: its role, or that it is no shape and no rows."""
    if isinstance(each, Shape):
        if each.role not in ROLES:
            return f"its role '{each.role}' is unknown; choose from {', '.join(ROLES)}"
        sizes = [each.out, each.in_]
    else:
        rows = each if isinstance(each, list) and all(isinstance(row, list) for row in each) else [[]]
        widths = {len(row) for row in rows}
        sizes = [*widths, len(rows)] if len(widths) == 1 else []
    if sizes and all(isinstance(size, int) and size > 0 for size in sizes):
        return ""
    return "write Linear(out, in), Shape(out, in), or rows of numbers to start with"


def shape(name: str, each: Any, config: dict[str, Any]) -> tuple[int, int]:
    """Return the numbers of rows and columns of a declared weight. UserError if it is declared wrongly."""
    if wrong := misdeclared(each):
        kind = name.split(".")[-2]
        part = chosen(kind if kind in MODEL_KINDS else "norm", config)
        raise part.failure(f" declares {name} as {each!r:.40}: {wrong}")
    return size_of(each)


def check_drawn(trainer: Trainer, config: dict[str, Any]) -> None:
    """Raise UserError if the init returned a matrix of another shape than it was asked for."""
    for name, each in trainer.model.declared.items():
        wanted, drawn = shape(name, each, config), trainer.packing.shapes[name]
        if drawn != wanted:
            what = f" returned a matrix {drawn} for {name}, not {wanted}"
            raise chosen("init", config).failure(what)
