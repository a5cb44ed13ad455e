"""Stop a run after the current step on Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType


class Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception."""


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM outside of training."""
    raise Terminated


def raise_once(number: int, frame: FrameType | None) -> None:
    """Handle a signal in the process of a job: Ctrl-C reaches it, then the SIGTERM of its sweep."""
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # SIG_IGN would complain of one on its way
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def handle_once() -> None:
    """Set the handlers of a job's process, and accept the signals that `held` has held back."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, raise_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold signals back while a process is forked: they would find neither side ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopOnSignal:
    """A callback and context manager: a signal stops the run after the current step.

    `signal` is the name of the last signal, or empty. A second Ctrl-C interrupts at once.
    """

    order = 2  # after the checkpoint, which must not record a signal as a callback's wish to stop

    def __init__(self) -> None:
        self.signal = ""

    def __enter__(self) -> StopOnSignal:
        # Only the main thread may set handlers.
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:
            numbers = signal.SIGINT, signal.SIGTERM
            self.previous_handlers = {number: signal.signal(number, self.handle) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.in_main_thread:
            for number, handler in self.previous_handlers.items():
                signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:
        second = self.signal and number == signal.SIGINT
        self.signal = signal.Signals(number).name
        if second:
            raise KeyboardInterrupt

    def should_stop(self) -> bool:
        return bool(self.signal)
