"""Stop a run after the current step on Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception."""


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM outside of training."""
    raise Terminated


class StopOnSignal:
    """A callback and context manager: a signal stops the run after the current step.

    `signal` is the name of the last signal, or empty. A second Ctrl-C interrupts at once.
    """

    order = 2  # after the checkpoint, which must not record a signal as a callback's wish to stop

    def __init__(self) -> None:
        self.signal = ""

    def __enter__(self) -> None:
        # Only the main thread may set handlers.
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:
            numbers = signal.SIGINT, signal.SIGTERM
            self.previous_handlers = {number: signal.signal(number, self.handle) for number in numbers}

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
