"""`python -m microgpt_lab inspect [RUN]`: every number of a text on its way through a run's model."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from microgpt_lab.commands import RUN, Parser, print_warning
from microgpt_lab.errors import UserError, printable
from microgpt_lab.inspection.ablation import ablations
from microgpt_lab.inspection.against import Against, against
from microgpt_lab.inspection.attention import heads
from microgpt_lab.inspection.attribution import attribution
from microgpt_lab.inspection.expected import expected, lens
from microgpt_lab.inspection.health import Health, health
from microgpt_lab.inspection.ledger import explain
from microgpt_lab.inspection.page import page
from microgpt_lab.inspection.printing import tensor
from microgpt_lab.inspection.replay import Replay, loaded, replay
from microgpt_lab.listing import find
from microgpt_lab.registry.folders import DEMO
from microgpt_lab.run.trained import Trained
from microgpt_lab.terminal import terminal

WIDTH = 140  # columns in a pipe
LONGEST = 60  # characters of the text in the first line


def parse(arguments: list[str]) -> Namespace:
    """Parse the arguments. UserError if two of them exclude each other."""
    parser = Parser(
        "inspect",
        description="Replay a text through the model of a run, and show every number: what it expected, "
        "where it looked, which part added what, the gradients, and where each comes from.",
    )
    run = RUN.replace("a folder", f"a folder, '{DEMO.name}' (a run that comes with the lab)")
    parser.add_argument("run", nargs="?", default=find.LAST, metavar="RUN", help=run)
    parser.add_argument("--text", default="emma", help="what the model reads (default: %(default)s)")
    shows = parser.add_mutually_exclusive_group()
    shows.add_argument("--html", type=Path, metavar="PAGE", help="write a page that needs no network")
    parser.add_argument("--against", metavar="RUN", help="another run: the same text, differences first")
    shows.add_argument(
        "--explain", metavar="NUMBER", help="how a number was made, and its gradient: layer0.attention.wq:2:5"
    )
    shows.add_argument("--print", metavar="TENSOR", help="a tensor with its labels: layer0.mlp.post")
    parser.add_argument(
        "--best", action="store_true", help="use the checkpoint with the lowest validation loss"
    )
    args = parser.parse_args(arguments)
    if args.against and (args.explain or args.print):
        parser.error("--against compares two runs: leave out --explain or --print")
    return args


def main(arguments: list[str]) -> int:
    args = parse(arguments)
    folder, trained = load(args.run, args.best)
    shown, name = replay(trained, args.text), short(folder)
    other, compared = "", None
    if args.against:
        other_folder, other_trained = load(args.against, args.best)
        compared, other = against(shown, replay(other_trained, args.text)), short(other_folder)
    console = terminal(WIDTH)
    headline(console, f"{name}, step {trained.step:,}", shown)
    if args.explain:
        console.print(explain(shown, args.explain))
    elif args.print:
        console.print(tensor(shown, args.print))
    else:
        measured = health(shown, folder)
        if args.html:
            write(args.html, page(shown, name, measured, compared, other))
        for title, view in sections(shown, measured, compared):
            console.print(f"\n[bold]{title}[/]")
            console.print(view)
        if args.html:
            console.print(f"\nwritten: {escape(printable(str(args.html)))}", soft_wrap=True)
    return 0


def load(name: str, best: bool) -> tuple[Path, Trained]:
    """Find and load a run."""
    folder = find.run_folder(name, with_checkpoint=True, demo=True)
    return folder, loaded(folder, print_warning, best=best)


def short(folder: Path) -> str:
    """Return the name of a run: its path, or that of the run that comes with the lab."""
    return DEMO.name if folder == DEMO else str(folder)


def headline(console: Console, model: str, shown: Replay) -> None:
    """Print what is replayed, and what is not."""
    text = shown.text if len(shown.text) <= LONGEST else f"{shown.text[:LONGEST]}…"
    facts = f"{model}, {shown.loss.item():.4f} nats per token"
    console.print(f"[bold]{escape(printable(text))}[/]  {escape(printable(facts))}", soft_wrap=True)
    for line in shown.notes:
        console.print(f"[dim]{escape(printable(line))}[/]")


def sections(shown: Replay, measured: Health, compared: Against | None) -> Iterator[tuple[str, Any]]:
    """Yield the views with their titles."""
    if compared:
        yield "Against the other run, the largest difference first", compared
    explained, removed = attribution(shown), ablations(shown)
    yield "What it expected", expected(shown)
    yield "What it would have expected after each part (logit lens)", lens(shown, explained)
    yield "Why: the sum that a logit is, for the largest surprise", explained
    yield "Attention: where each head looked", heads(shown, explained, removed)
    yield "Without a part", removed
    yield "Health", measured


def write(path: Path, text: str) -> None:
    """Write the page. UserError if that is not possible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--html {path}: {error.strerror}") from None
