"""Estimate the memory of a run before its first step, and refuse a run that cannot fit."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from microgpt_lab.core.backend import Backend, Memory
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.evaluation import BATCH_SIZE, evaluated_together
from microgpt_lab.core.model import GPT
from microgpt_lab.core.see import unseen
from microgpt_lab.run.available import available, resident
from microgpt_lab.tensors.shapes import on_shapes, size_of
from microgpt_lab.terminal import in_bytes

KEPT = 1.15  # bytes that a training step needs for each that its forward pass makes, because most are kept
ALIVE = 3  # tensors of an evaluation that exist at the same time, each as large as the largest
TOKEN, DOCUMENT, MASK = 64, 300, 32  # bytes of a token, a document, and a number of a dropout mask, as lists


def check_memory(model: GPT, corpus: Corpus, config: dict[str, Any], backend: Backend) -> int:
    """Return the estimated memory of this process with the run, in bytes (0: unknown).

    ValueError if the run needs more than there is. What the process has already is counted as free, because
    most of it may be what an earlier run of the process has left.
    """
    length, dropout = min(corpus.longest, corpus.block_size), config["dropout"] or model.attention_dropout
    try:
        _, counted = unseen(lambda: on_shapes(model, 1, length, dropout=bool(dropout)))()
    except Exception:  # it needs numbers, or is wrong: then `probe_model` names the part
        return 0

    def needed(**changed: Any) -> int:
        return estimate(model, length, counted.made, config | changed, backend.memory)

    held, name = resident(), config["backend"]["name"]
    limit = backend.device_memory() or held + available()
    if needed() <= limit:
        return held + needed()
    raise ValueError(
        f"the run needs about {in_bytes(needed())} of memory on backend={name}, and {in_bytes(limit)} are "
        f"available: choose {advice(config, backend, lambda **changed: needed(**changed) <= limit)}"
    )


def advice(config: dict[str, Any], backend: Backend, fits: Callable[..., bool]) -> str:
    """Return what a run may choose to need less memory, what changes least first.

    fits: whether the run fits with these keys of its configuration changed.
    """
    found, documents = ["a smaller model or block_size"], config["batch_size"]
    if config["backend"].get("precision") == "float64" and fits(backend={"precision": "float32"}):
        found.append("backend.precision=float32")
    if not backend.memory.batched:
        found.append("backend=numpy")
    smaller = (size for size in range(documents - 1, 0, -1) if documents % size == 0)
    if size := next((size for size in smaller if fits(batch_size=size)), 0):
        parts = config["accumulate"] * documents // size
        found.append(f"batch_size={size} accumulate={parts}, with the same losses")
    return ", or ".join(reversed(found))


def estimate(model: GPT, length: int, made: list[int], config: dict[str, Any], memory: Memory) -> int:
    """Estimate the bytes that a run needs: for weights, for a step or an evaluation, and for its batches.

    length: tokens in the longest piece.
    made: the numbers of each tensor that a forward pass makes of a document of this length.
    """
    evaluated = evaluated_together(config["eval_docs"] or BATCH_SIZE, length)
    trained, evaluated = (config["batch_size"], evaluated) if memory.batched else (1, 1)
    number = memory.number / (2 if config["backend"].get("precision") == "float32" else 1)
    masks = bool(config["dropout"]) * model.dropout_sites * length * model.embed
    masks += bool(model.attention_dropout) * model.layers * model.heads * length**2
    weights = sum(prod(size_of(each)) for each in model.declared.values())
    numbers = max(KEPT * trained * sum(made), ALIVE * evaluated * max(made))
    documents = config["batch_size"] * config["accumulate"]
    batch = documents * (DOCUMENT + TOKEN * length + min(MASK, number) * masks)
    return round(memory.weight * weights + number * numbers + batch + memory.fixed)
