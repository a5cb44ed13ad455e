"""A function carried over many batches: traced and compiled once, for batches of every size."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microgpt_lab.tensors.padding import draw_masks
from microgpt_lab.tensors.shapes import DOCS, LENGTH

from ..numpy.array import Array
from .build import load
from .trace import leaves_of, mapped, trace

SLOTS = 9  # of sums: a lane each, and the first of parts (steps.h)
WORTH = 500_000  # multiply-adds that make a lane worth while
ROOM = 16  # numbers behind each buffer, because products read up to 64 bytes past an operand


class Call(ctypes.Structure):
    """The arguments of `steps` in steps.h."""

    ARRAYS = (
        *("docs", "lengths", "ids", "targets", "numbers", "weights", "masks", "score_masks"),
        *("carry", "keep", "sums", "mem", "results"),
    )
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("count", "threads", "rows", "parts")),
        *((name, ctypes.c_void_p) for name in ARRAYS),
        ("lane_size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("start", "square", "place")),
    )


class Compiled:
    """A traced function, its library, and the memory in which it works."""

    def __init__(self, f: Callable, carry: Any, inputs: Sequence[Any], dtype: str, show: Sequence[str] = ()):
        self.program, self.dtype = trace(f, carry, inputs, show), np.dtype(dtype)
        real = "double" if dtype == "float64" else "float"
        self.library = load(f"typedef {real} real;\n{self.program.text}")
        self.library.steps.restype = None
        self.rows = max(1, WORTH // max(1, self.program.work))
        ends = self.program.memory.ends
        self.keep = np.zeros(ends["keep"].fixed + ROOM, dtype)
        for at, table in self.program.tables.items():
            values = np.array(table, dtype).reshape(-1)
            self.keep[at : at + values.size] = values
        self.sums = np.zeros(SLOTS * (ends["sums"].fixed + 8) + ROOM, dtype)
        self.mem = np.zeros(0, dtype)

    def __call__(self, carry: Any, inputs: Sequence[Any], results: np.ndarray) -> np.ndarray:
        """Run a step for each of the inputs. Returns the numbers of the last carry in a row."""
        batches = [batch for batch, *_ in inputs]
        leaves = [x.data.reshape(-1) for x in leaves_of(carry)]
        pairs = [pair for batch in batches for pair in batch.pairs]
        lengths = np.array([len(ids) for ids, _ in pairs], np.int32)
        arrays = {
            "carry": np.concatenate([*leaves, np.zeros(ROOM, self.dtype)], dtype=self.dtype),
            "docs": np.array([len(batch.pairs) for batch in batches], np.int64),
            "lengths": lengths,
            "ids": np.array([i for ids, _ in pairs for i in ids], np.int32),
            "targets": np.array([i for _, targets in pairs for i in targets], np.int32),
            "numbers": np.array([x for _, *numbers in inputs for x in numbers], self.dtype),
            "weights": loss_weights(batches, lengths, self.dtype),
            **masks(batches, self.dtype),
            "results": results,
            "keep": self.keep,
            "sums": self.sums,
        }
        arrays |= self.room(batches)
        call = Call(
            **{name: array.ctypes.data for name, array in arrays.items()},
            count=len(inputs),
            threads=threads(),
            rows=self.rows if not self.program.shown else 2**62,
            parts=getattr(batches[0], "parts", 1),
            lane_size=self.lane_size,
        )
        self.library.steps(ctypes.byref(call))
        return arrays["carry"]

    def room(self, batches: Sequence[Any]) -> dict[str, np.ndarray]:
        """Return memory for the largest lane of these batches, and for the places of tokens."""
        most_docs = max(len(batch.pairs) for batch in batches)
        tokens, pairs, lanes = 0, 0, 1
        for batch in batches:
            lengths = [len(ids) for ids, _ in batch.pairs]
            n, longest = sum(lengths), max(lengths)
            count = 1 if self.program.shown else max(1, min(n // self.rows, len(lengths), SLOTS - 1))
            lane = n if count == 1 else min(n, n // count + longest)
            tokens, lanes = max(tokens, lane), max(lanes, count)
            pairs = max(pairs, sum(t * t for t in lengths) if count == 1 else lane * longest)
        end = self.program.memory.ends["mem"]
        size = end.tokens * tokens + end.pairs * pairs + end.fixed + ROOM
        if size * lanes > len(self.mem):
            self.mem = np.empty(size * lanes, self.dtype)
        self.lane_size = size
        return {
            "mem": self.mem,
            "start": np.empty(most_docs + SLOTS, np.int64),
            "square": np.empty(most_docs + SLOTS, np.int64),
            "place": np.empty(max(sum(len(ids) for ids, _ in b.pairs) for b in batches), np.int32),
        }


class Scan:
    """`Backend.scan`, traced and compiled when it is first called."""

    def __init__(self, f: Callable, dtype: str):
        self.f, self.dtype = f, dtype
        self.compiled: Compiled | None = None
        self.looks: dict[tuple[str, ...], Compiled] = {}

    def __call__(self, carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
        if self.compiled is None or inputs[0][0].block_size > self.compiled.program.graph.block_size:
            self.compiled = Compiled(self.f, carry, inputs[0], self.dtype)
        results = np.zeros((len(inputs), len(self.compiled.program.results)), self.dtype)
        row, at = self.compiled(carry, inputs, results), 0

        def unpacked(x: Any) -> Array:
            nonlocal at
            start, at = at, at + x.data.size
            return Array(row[start:at].reshape(x.shape))

        return mapped(carry, unpacked), results.tolist()

    def look(self, carry: Any, inputs: Sequence[Any], *names: str) -> dict[str, list[np.ndarray]]:
        """Return named tensors of a step, (heads,) T, C, of each document of the batch. "d.name" is a gradient.

        `inputs` are those of one step. The function is compiled for these names, without what they do not
        need. UserError if a name does not exist.
        """
        known = self.looks.get(names)
        if known is None or inputs[0].block_size > known.program.graph.block_size:
            self.looks[names] = Compiled(self.f, carry, inputs, self.dtype, names)
        compiled = self.looks[names]
        lengths = [len(ids) for ids, _ in inputs[0].pairs]
        shapes = [
            [[T if n is LENGTH else n for n in x.shape if n is not DOCS] for T in lengths]
            for x in compiled.program.shown
        ]
        results = np.zeros(sum(math.prod(shape) for each in shapes for shape in each), self.dtype)
        compiled(carry, [inputs], results)
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        at = 0
        for name, each in zip(names, shapes):
            for shape in each:
                start, at = at, at + math.prod(shape)
                found[name].append(results[start:at].reshape(shape))
        return found


def threads() -> int:
    """Return how many threads may work: OMP_NUM_THREADS, or as many as there are cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loss_weights(batches: Sequence[Any], lengths: np.ndarray, dtype: Any) -> np.ndarray:
    """Return the weight of each token's loss: 0 for the context of a piece."""
    each = np.repeat([b.loss_weight for b in batches for _ in b.pairs], lengths).astype(dtype)
    context = [n for batch in batches for n in batch.context]
    if any(context):
        place = np.arange(len(each)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        each[place < np.repeat(context, lengths)] = 0
    return each


def masks(batches: Sequence[Any], dtype: Any) -> dict[str, np.ndarray]:
    """Return the dropout masks, batch by batch, site by site, document by document."""
    found: dict[str, list[np.ndarray]] = {"masks": [], "score_masks": []}
    for batch in batches:
        for dropout in batch.dropouts:
            documents = list(draw_masks(dropout, batch))
            for site in range(dropout.sites):
                kept = np.concatenate([document[site].reshape(-1) for document in documents])
                found["score_masks" if dropout.heads else "masks"].append(
                    np.multiply(kept, dropout.scale, dtype=dtype)
                )
    return {name: np.concatenate(each or [np.zeros(1, dtype)]) for name, each in found.items()}
