"""A text on its way through the model of a run: the views of `python -m microgpt_lab inspect`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from microgpt_lab.commands.inspect import sections, short
from microgpt_lab.core.reprs import line
from microgpt_lab.errors import UserError, printable
from microgpt_lab.inspection.ablation import Ablation, ablations
from microgpt_lab.inspection.attention import Head, heads
from microgpt_lab.inspection.attribution import Attribution, attribution
from microgpt_lab.inspection.expected import Lens, Prediction, expected, lens
from microgpt_lab.inspection.health import Health, health
from microgpt_lab.inspection.ledger import explain
from microgpt_lab.inspection.page import page
from microgpt_lab.inspection.printing import Numbers, tensor
from microgpt_lab.inspection.rendering import View, Views
from microgpt_lab.inspection.replay import replay
from microgpt_lab.inspection.statement import Ledger
from microgpt_lab.run.trained import Trained


class Inspection(View):
    """A replay of a text, and its views, each computed when it is asked for.

    text: what the model reads.
    replay: every number of the forward and the backward pass.
    """

    def __init__(self, folder: Path, trained: Trained, text: str):
        self.folder, self.step, self.text = folder, trained.step, text
        self.replay = replay(trained, text)

    @cached_property
    def expected(self) -> Views[Prediction]:
        """What the model expected at each token: its probabilities, and the loss of what came."""
        return expected(self.replay)

    @cached_property
    def lens(self) -> Lens:
        """What it would have expected after each part (the logit lens)."""
        return lens(self.replay, self.attribution)

    @cached_property
    def attribution(self) -> Attribution:
        """What each part adds to the logits."""
        return attribution(self.replay)

    @cached_property
    def heads(self) -> Views[Head]:
        """Where each attention head looked."""
        return heads(self.replay, self.attribution)

    @cached_property
    def ablations(self) -> Views[Ablation]:
        """The loss without a head, an attention or an MLP."""
        return ablations(self.replay)

    @cached_property
    def health(self) -> Health:
        """Gradients, updates and dead units, of one more step of the run."""
        return health(self.replay, self.folder)

    def tensor(self, name: str, *, gradients: bool = False) -> Numbers:
        """Return the numbers of a tensor, or their gradients: "layer0.mlp.post"."""
        return tensor(self.replay, name, gradients=gradients)

    def explain(self, number: str) -> Ledger:
        """Show how a number was made, and where its gradient comes from: "layer0.attention.wq:2:5"."""
        return explain(self.replay, number)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write all of it as a page for a browser, which needs no network."""
        try:
            Path(path).write_text(page(self.replay, short(self.folder), self.health), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None

    @property
    def headline(self) -> str:
        """The text and its loss."""
        return f"{self.text!r}, {self.replay.loss.item():.4f} nats per token"

    def __repr__(self) -> str:
        views = "expected, lens, attribution, heads, ablations, health"
        return line(f"Inspection({self.headline}, step {self.step:,}; {views})")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(printable(self.headline), "bold")
        yield from (Text(printable(note), "dim") for note in self.replay.notes)
        for title, view in self._sections():
            yield Group(Text(f"\n{title}", "bold"), view)

    def _sections(self) -> Iterator[tuple[str, Any]]:
        yield from sections(self.replay, self.health, None)
