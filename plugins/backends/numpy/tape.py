"""A tape of NumPy calls: what is computed once can be computed again without asking what to do.

A training step makes a few hundred small NumPy calls. Around each, Python spends more time on
deciding what to call than the call takes. So the step is run once with a tape that writes down
every call with its operands and the buffer of its result; after that, other numbers are put into
the input buffers and the calls are made again. Transposes, slices and heads are views of the buffers,
and cost nothing then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import numpy as np


class Recording(threading.local):
    """The tape that is entered, in each thread another."""

    tape: Tape | None = None


recording = Recording()


class Tape:
    """Calls in order. While it is entered, `call` and `into` write on it."""

    def __init__(self) -> None:
        self.calls: list[partial] = []

    def __enter__(self) -> Tape:
        recording.tape = self
        return self

    def __exit__(self, *error: object) -> None:
        recording.tape = None


def call(f: Callable, *operands: object) -> np.ndarray:
    """f(*operands). `f` also takes a buffer for its result, as a last argument."""
    result = f(*operands)
    if recording.tape is not None:
        recording.tape.calls.append(partial(f, *operands, result))
    return result


def into(result: np.ndarray, f: Callable, *operands: object) -> np.ndarray:
    """f(*operands), into a buffer whose numbers are of no more use."""
    f(*operands, result)
    if recording.tape is not None:
        recording.tape.calls.append(partial(f, *operands, result))
    return result
