"""Ctrl-C and SIGTERM: how a process is asked to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where the program is."""


def terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


class Stopping:
    """While it is entered, a signal asks the run to stop after the step that it is at; `signal` is its name.

    A second Ctrl-C interrupts at once.
    """

    order = 2  # asked last: a signal is no answer that a checkpoint should remember

    def __init__(self) -> None:
        self.signal = ""

    def __enter__(self) -> None:
        self.main = threading.current_thread() is threading.main_thread()  # no other may set handlers
        if self.main:
            numbers = signal.SIGINT, signal.SIGTERM
            self.before = {number: signal.signal(number, self.ask) for number in numbers}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.main:
            for number, handler in self.before.items():
                signal.signal(number, handler)

    def ask(self, number: int, frame: FrameType | None) -> None:
        again = self.signal and number == signal.SIGINT
        self.signal = signal.Signals(number).name
        if again:
            raise KeyboardInterrupt

    def should_stop(self) -> bool:
        return bool(self.signal)
