"""A function carried over many batches: traced and compiled once, for batches of every size."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microgpt_lab.tensors.ragged import ragged
from microgpt_lab.tensors.shapes import DOCS, LENGTH
from microgpt_lab.tensors.trees import leaves_of, mapped

from ..numpy.array import Array
from .build import load
from .memory import Memory
from .trace import trace

SLOTS = 9  # copies of `sums`: of 8 lanes, and of the parts of a step before them (steps.h)
WORTH = 500_000  # multiply-adds that make a lane worth while, for each 5,000 sums that it adds to the others'


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
        self.program, self.dtype = trace(f, carry, inputs, show, share=True), np.dtype(dtype)
        real = "double" if dtype == "float64" else "float"
        self.library = load(f"typedef {real} real;\n{self.program.text}")
        self.library.steps.restype = None
        worth = WORTH * max(1, self.program.sums / 5000)
        rows = max(1, int(worth / max(1, self.program.work)))
        self.rows = 2**62 if show else rows  # of a lane; what is shown lies in one, of the whole batch
        ends = self.program.memory.ends
        self.keep = np.zeros(ends["keep"].fixed + Memory.room, dtype)
        for at, table in self.program.tables.items():
            values = np.array(table, dtype).reshape(-1)
            self.keep[at : at + values.size] = values
        self.sums = np.zeros(SLOTS * self.program.sums + Memory.room, dtype)
        self.mem = np.zeros(0, dtype)

    def __call__(self, carry: Any, inputs: Sequence[Any], results: np.ndarray) -> np.ndarray:
        """Run a step for each of the inputs. Return all numbers of the last carry, one after the other."""
        given = ragged([batch for batch, *_ in inputs], self.dtype, threads())
        leaves = [x.data.reshape(-1) for x in leaves_of(carry)]
        parts = 1 if self.program.shown else inputs[0][0].parts
        arrays = given._asdict() | {
            "numbers": np.array([numbers for _, *numbers in inputs], self.dtype),
            "carry": np.concatenate([*leaves, np.zeros(Memory.room, self.dtype)], dtype=self.dtype),
            "results": results,
            "keep": self.keep,
            "sums": self.sums,
            **self.room(given.docs, given.lengths, parts),
        }
        pointers = {name: array.ctypes.data for name, array in arrays.items()}
        settings = {"count": len(inputs), "threads": threads(), "rows": self.rows, "parts": parts}
        self.library.steps(ctypes.byref(Call(**pointers, **settings, lane_size=self.lane_size)))
        return arrays["carry"]

    def room(self, docs: np.ndarray, lengths: np.ndarray, parts: int) -> dict[str, np.ndarray]:
        """Return memory for the largest lane of a part of these batches, and for the places of tokens."""
        first = np.cumsum(docs) - docs
        if parts > 1:
            first = np.concatenate(
                [at + n * np.arange(p) // p for at, n in zip(first, docs) for p in [min(parts, n)]]
            )
        tokens, longest = np.add.reduceat(lengths, first), np.maximum.reduceat(lengths, first)
        most = np.minimum(np.diff(first, append=len(lengths)), SLOTS - 1)
        lanes = 2 ** np.log2(np.clip(tokens // self.rows, 1, most)).astype(int)  # as set_lanes in steps.h
        lane = np.where(lanes == 1, tokens, np.minimum(tokens, tokens // lanes + longest))
        pairs = np.where(lanes == 1, np.add.reduceat(lengths.astype(np.int64) ** 2, first), lane * longest)
        end = self.program.memory.ends["mem"]
        self.lane_size = int(end.tokens * lane.max() + end.pairs * pairs.max()) + end.fixed + Memory.room
        if (size := self.lane_size * int(lanes.max())) > len(self.mem):
            self.mem = np.empty(size, self.dtype)
        each = int(docs.max()) + SLOTS
        start, square = np.empty((2, each), np.int64)
        return {"mem": self.mem, "start": start, "square": square, "place": np.empty(tokens.max(), np.int32)}

    def documents(self, x: Any, batch: Any, carry: np.ndarray) -> list[np.ndarray]:
        """Return a shown tensor of each document of the batch that was computed last, in one lane."""
        lengths = [len(ids) for ids, _ in batch.pairs]
        home = self.program.memory.home[x.node.serial]
        start = home.tokens * sum(lengths) + home.pairs * sum(t * t for t in lengths) + home.fixed + x.offset
        numbers = {"mem": self.mem, "sums": self.sums, "keep": self.keep, "carry": carry}[home.area][start:]
        found, n, nn, heads = [], 0, 0, x.node.heads  # n tokens and nn pairs of tokens come before
        token = x.strides[-2 if x.shape[-2] is LENGTH else -1]
        for T in lengths if x.shape[0] is DOCS else [0]:
            shape = [T if size is LENGTH else size for size in x.shape if size is not DOCS]
            bytes_apart = [{"T": T, "TT": T * T}.get(s, s) * numbers.itemsize for s in x.strides]
            place = nn * heads if x.node.is_scores else n * token
            found.append(np.lib.stride_tricks.as_strided(numbers[place:], shape, bytes_apart).copy())
            n, nn = n + T, nn + T * T
        return found


class Scan:
    """`Backend.scan`, traced and compiled when it is first called."""

    def __init__(self, f: Callable, dtype: str):
        self.f, self.dtype = f, dtype
        self.compiled: Compiled | None = None
        self.looks: dict[tuple[str, ...], Compiled] = {}
        self.alone = threading.Lock()  # calls share memory, and two threads may evaluate one trainer

    def __call__(self, carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
        with self.alone:
            if self.compiled is None or inputs[0][0].block_size > self.compiled.program.graph.block_size:
                self.compiled = Compiled(self.f, carry, inputs[0], self.dtype)
            results = np.zeros((len(inputs), len(self.compiled.program.results)), self.dtype)
            row, at = self.compiled(carry, inputs, results), 0

        def unpacked(x: Any) -> Array:
            nonlocal at
            start, at = at, at + x.data.size
            return Array(row[start:at].reshape(x.shape))

        return mapped(carry, unpacked), results.tolist()

    def free_memory(self) -> None:
        """Free the memory of the last call. The next call allocates it again."""
        with self.alone:
            if self.compiled:
                self.compiled.mem = np.zeros(0, self.dtype)

    def look(self, carry: Any, inputs: Sequence[Any], *names: str) -> dict[str, list[np.ndarray]]:
        """Return named tensors, (heads,) T, C, of each document of a batch. "d.name" is the gradient of one.

        `inputs` are those of one step. The gradient of a weight is there once. The function is compiled
        for these names, without what they do not need. UserError if a name does not exist.
        """
        with self.alone:
            known = self.looks.get(names)
            if known is None or inputs[0].block_size > known.program.graph.block_size:
                self.looks[names] = Compiled(self.f, carry, inputs, self.dtype, names)
            compiled = self.looks[names]
            row, shown = compiled(carry, [inputs], np.zeros(1, self.dtype)), compiled.program.shown
            return {name: compiled.documents(x, inputs[0], row) for name, x in zip(names, shown)}


def threads() -> int:
    """Return how many threads may work: OMP_NUM_THREADS, or as many as there are cores."""
    if (wanted := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
