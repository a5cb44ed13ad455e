"""Buffers shared by the calls of a tape that do not need them at the same time.

Every call of a recorded step got a buffer of its own. Where the last call that reads one has been
made, its memory can hold a later result of that size: a third of the memory, which the processor's
cache then holds more of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np


def shared(stages: list[list[partial]], kept: list[np.ndarray]) -> list[list[partial]]:
    """The same calls on fewer buffers. Those of `kept`, and all that no call fills, stay where they are.

    A buffer is reused in its own stage only: others may be played at the same time.
    """
    calls = [call for stage in stages for call in stage]
    owners = {id(owner(array)): owner(array) for call in calls for array in arrays(call.args)}
    untouched = {id(owner(array)) for array in kept}
    filled, last = filled_first(calls), {}
    for i, call in enumerate(calls):
        last.update((id(owner(array)), i) for array in arrays(call.args))
    done = defaultdict(list)
    for key, i in last.items():
        done[i].append(key)

    memory: dict[int, np.ndarray] = {}  # of each owner that moved
    moved, i = [], 0
    for stage in stages:
        moved.append([])
        free: dict[int, list[np.ndarray]] = defaultdict(list)  # by size; what was used last is reused first
        here = set()
        for call in stage:
            key = id(owner(call.args[-1]))
            if filled.get(key) == i and key not in untouched:
                size = owners[key].nbytes
                memory[key] = free[size].pop() if free[size] else np.empty(size, np.uint8)
                here.add(key)
            moved[-1].append(partial(call.func, *(on(operand, memory) for operand in call.args)))
            for key in done[i]:
                if key in here:
                    free[owners[key].nbytes].append(memory[key])
            i += 1
    return moved


def filled_first(calls: list[partial]) -> dict[int, int]:
    """By owner, the call that fills it whole, of those that no call reads or fills in part before."""
    filled, seen = {}, set()
    for i, call in enumerate(calls):
        result, key = call.args[-1], id(owner(call.args[-1]))
        seen.update(id(owner(array)) for array in arrays(call.args[:-1]))
        if key not in seen and result.size == owner(result).size:
            filled[key] = i
        seen.add(key)
    return filled


def arrays(operands: Any) -> Iterator[np.ndarray]:
    for operand in operands:
        if isinstance(operand, np.ndarray):
            yield operand
        elif isinstance(operand, tuple):
            yield from arrays(operand)


def owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def on(operand: Any, memory: dict[int, np.ndarray]) -> Any:
    """The same view of the memory that its owner has now."""
    if isinstance(operand, tuple):
        return tuple(on(each, memory) for each in operand)
    if not isinstance(operand, np.ndarray) or id(owner(operand)) not in memory:
        return operand
    whole = owner(operand)
    start = operand.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return np.ndarray(operand.shape, operand.dtype, memory[id(whole)], start, operand.strides)
