"""A run in a notebook: the curve of its losses, which grows while it trains, and its last figures."""

import math
import time
from html import escape
from typing import Any

from microgpt_lab import printable
from microgpt_lab.run.curve import LossCurve
from microgpt_lab.terminal import format_duration

from .header import warnings

PAUSE = 0.4  # seconds between two pictures


class NotebookView:
    """Shows a run in the output of a cell, and updates it in place a few times a second."""

    def __init__(self, run, trainer):
        from IPython.display import display  # type: ignore[import-not-found]

        self.run, self.trainer = run, trainer
        self.curve, self.val, self.speed = LossCurve(trainer.steps), math.nan, 0.0
        self.started, self.first_step = time.monotonic(), trainer.step
        self.warnings = list(warnings(run.config, trainer.corpus))
        first = self.picture(f"{trainer.parameters:,} parameters")
        self.handle: Any = display(first, raw=True, display_id=True)
        self.next = 0.0

    def step_finished(self, step, metrics):
        self.val = metrics.get("loss/val", self.val)
        self.curve.add(step, metrics["loss/train"], metrics.get("loss/val"))
        if time.monotonic() >= self.next:
            self.handle.update(self.picture(self.progress(metrics["perf/tokens_per_s"])), raw=True)
            self.next = time.monotonic() + PAUSE

    def progress(self, speed):
        done, steps = self.trainer.step, self.trainer.steps  # a call makes many steps
        left = (time.monotonic() - self.started) / max(1, done - self.first_step) * (steps - done)
        val = f", val {self.val:.4f}" if self.val == self.val else ""
        return f"step {done:,} of {steps:,}{val}, {speed:,.0f} tokens/s, {format_duration(left)} left"

    def run_finished(self, summary):
        status = (
            ""
            if summary["status"] == "ok"
            else f"{summary['status']}: {summary.get('error', '')}".rstrip(": ")
        )
        loss = f"validation loss {summary['loss/val']:.4f}" if "loss/val" in summary else ""
        steps = f"{summary['steps']:,} steps in {summary['seconds']:.1f} s"
        self.handle.update(self.picture(", ".join(filter(None, (status, loss, steps)))), raw=True)

    def picture(self, line):
        """The name of the run, a line, its curve and what to beware of, as HTML, and as text without it."""
        lines = [f"<b>{safe(self.run.name)}</b> {safe(line)}"]
        lines += [f"warning: {safe(each)}" for each in self.warnings]
        html = f"<div>{'<br>'.join(lines)}</div>{self.curve.svg()}"
        return {"text/html": html, "text/plain": printable(f"{self.run.name}: {line}")}


def safe(text):
    """The text with markup and control characters escaped."""
    return escape(printable(text))
