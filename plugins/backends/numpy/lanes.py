"""The calls of a tape in lanes, one for each part of a batch, that threads play at the same time.

NumPy lets go of the interpreter while it computes, so that two threads keep two cores busy. What a
call depends on decides on its lane, never the machine: one core computes the same bits.
"""

from __future__ import annotations

import contextvars
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import numpy as np

from .buffers import arrays, owner, shared


def play(calls: list[partial]) -> None:
    for call in calls:
        call()


class Lanes:
    """First what depends on no part, then what depends on one part alone, then what depends on more.

    `parts` has the inputs of each part; buffers of `kept` stay where they are.
    """

    def __init__(self, calls: list[partial], parts: list[list[np.ndarray]], kept: list[np.ndarray]):
        found = sorted_by_need(calls, parts)
        alone = [found[1 << i] for i in range(len(parts))]
        self.before, *self.lanes, self.after = shared([found[0], *alone, found[-1]], kept)

    def play(self, threads: ThreadPoolExecutor) -> None:
        play(self.before)
        first, *others = self.lanes
        if others:
            with_them = [threads.submit(contextvars.copy_context().run, play, lane) for lane in others]
            try:
                play(first)
            finally:
                wait(with_them)
            for lane in with_them:
                lane.result()  # raises what it raised
        else:
            play(first)
        play(self.after)


def varying(calls: list[partial], inputs: list[np.ndarray]) -> list[partial]:
    """The calls that depend on inputs. The others compute the same constants each time."""
    varies, known = {id(owner(array)) for array in inputs}, -1
    while known < len(varies):
        known = len(varies)
        for call in calls:
            if any(id(owner(array)) in varies for array in arrays(call.args)):
                varies.add(id(owner(call.args[-1])))
    return [call for call in calls if id(owner(call.args[-1])) in varies]


def sorted_by_need(calls: list[partial], parts: list[list[np.ndarray]]) -> dict[int, list[partial]]:
    """The calls by the parts that they depend on: 0 none, 1 << i the i-th alone, -1 more than one.

    What overwrites a buffer depends on what the buffer's readers depend on: it must not come before them.
    """
    holds: dict[int, int] = defaultdict(int)  # by the owner of a memory, a bit for each part
    readers: dict[int, int] = defaultdict(int)
    holds.update((id(owner(array)), 1 << i) for i, part in enumerate(parts) for array in part)
    found: dict[int, list[partial]] = defaultdict(list)
    for call in calls:
        operands = {id(owner(array)) for array in arrays(call.args)}
        result = id(owner(call.args[-1]))
        need = readers[result]
        for operand in operands:
            need |= holds[operand]
        for operand in operands:
            readers[operand] |= need
        holds[result] = need
        found[need if need.bit_count() < 2 else -1].append(call)
    return found
