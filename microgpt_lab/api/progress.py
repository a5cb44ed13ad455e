"""The progress of a sweep, from the lines that its command prints."""

from __future__ import annotations

import re
import time
from typing import Any

from microgpt_lab.api.html import safe

PROGRESS = re.compile(r"^[✓✗=] \[ *(\d+)/(\d+)([^\]]*)\]")
PAUSE = 0.3  # seconds between two pictures
MOST_LINES = 20  # of those that say something went wrong


class Progress:
    """Call it with each line. In a notebook, a bar and the last job; elsewhere, the lines as they are."""

    def __init__(self, in_notebook: bool):
        self.in_notebook, self.next = in_notebook, 0.0
        self.ended, self.jobs, self.left, self.job = 0, 0, "", ""
        self.lines: list[str] = []  # that a bar does not replace
        self.handle: Any = None
        if in_notebook:
            self.draw()

    def __call__(self, line: str) -> None:
        if not self.in_notebook:
            print(line, flush=True)
            return
        if match := PROGRESS.match(line):
            self.ended, self.jobs, self.left = int(match[1]), int(match[2]), match[3].strip()
            self.job = line
        if not match or line.startswith("✗"):
            self.lines = [*self.lines[1 - MOST_LINES :], line]
        if self.ended == self.jobs or not match or time.monotonic() >= self.next:
            self.draw()

    def draw(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found]

        self.next = time.monotonic() + PAUSE
        content = {"text/html": self.html(), "text/plain": f"{self.ended} of {self.jobs} jobs"}
        if self.handle is None:
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def html(self) -> str:
        """The bar, how many jobs have ended, the last one, and other lines."""
        bar = f'<progress value="{self.ended}" max="{self.jobs}"></progress>' if self.jobs else ""
        counts = f"{bar} {self.ended} of {self.jobs} jobs {safe(self.left)}" if self.jobs else "starting jobs"
        lines = "\n".join(map(safe, [*self.lines, *([self.job] if self.ended < self.jobs else [])]))
        return f'<div>{counts}</div><pre style="overflow-x: auto">{lines}</pre>'
