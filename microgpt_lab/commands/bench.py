"""`python -m microgpt_lab bench [key=value …]`: the same configuration on every backend, side by side."""

from __future__ import annotations

import importlib.util
import multiprocessing
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import KEY_VALUE, Parser
from microgpt_lab.errors import UserError, at_least
from microgpt_lab.options.compose import compose
from microgpt_lab.options.mistakes import check_twice
from microgpt_lab.registry.extras import install_module
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.terminal import terminal

MIB = 2**20


def work(pipe: Connection, config: dict[str, Any], torch_dtype: str | None) -> None:
    """In a process of its own, so that memory and threads are its own: train for as long as it is told.

    Sends an error's text, or None; then, for each number of seconds received, what was done in it;
    at the end all losses.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    try:
        trainer: Any = assemble(config, load_documents(config))
        if torch_dtype:
            from microgpt_lab.checks.pytorch import Torch

            trainer = Torch(trainer, config, torch_dtype)
        losses = [metrics["loss/train"] for metrics in trainer.advance(fused(trainer))]  # and compile
    except (UserError, ModuleNotFoundError, FloatingPointError) as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while (seconds := pipe.recv()) is not None:
        begun, first = time.perf_counter(), trainer.step
        try:
            while time.perf_counter() - begun < seconds or trainer.step == first:
                losses += [metrics["loss/train"] for metrics in trainer.advance(fused(trainer))]
        except FloatingPointError as error:
            pipe.send(str(error))
            return
        spent = time.perf_counter() - begun
        tokens = sum(trainer.inputs(step)[0].tokens for step in range(first, trainer.step))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
        documents = (trainer.step - first) * config["batch_size"]
        pipe.send({"seconds": spent, "documents": documents, "tokens": tokens, "memory": memory})
    pipe.send(losses)


def fused(trainer: Any) -> int:
    """As many steps as a run would hand the backend at once."""
    return min(trainer.backend.fused, trainer.steps_per_second) if trainer.step else 1


class Contestant:
    """A backend at work in another process."""

    def __init__(self, name: str, config: dict[str, Any], torch_dtype: str | None = None):
        context = multiprocessing.get_context("spawn")
        self.name, self.turns = name, []
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, config, torch_dtype), daemon=True)
        self.process.start()
        theirs.close()
        self.error: str | None = self.answer()

    def answer(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            raise UserError(f"{self.name} ended unexpectedly (out of memory?)") from None

    def turn(self, seconds: float) -> None:
        self.pipe.send(seconds)
        turn = self.answer()
        if isinstance(turn, str):
            raise UserError(f"{self.name}: {turn}")
        self.turns.append(turn)

    def finish(self) -> list[float]:
        """The losses of all steps."""
        self.pipe.send(None)
        losses = self.answer()
        self.process.join()
        return losses

    def per_document(self) -> list[float]:
        """Seconds a document, of each turn but the first, in which backends compile and record."""
        return [turn["seconds"] / turn["documents"] for turn in self.turns[1:]]


def contestants(config: dict[str, Any], against: str | None, console: Console) -> list[Contestant]:
    """Every backend that can run this here; a line for each that cannot."""
    found = []
    for name in sorted(registry().names("backend"), key=lambda name: name != "python"):
        options = registry().get("backend", name).options
        chosen = {key: value for key, value in config["backend"].items() if key in options}
        with console.status(f"{name} …"):
            found.append(Contestant(name, config | {"backend": {"name": name, **chosen}}))
    if against:
        with console.status(f"{against} …"):
            dtype = config["backend"].get("dtype", "float64")
            found.append(Contestant(f"PyTorch {dtype}", config | {"backend": {"name": "python"}}, dtype))
    for each in found:
        if each.error is not None and each.name == config["backend"]["name"]:
            raise UserError(each.error)
        if each.error is not None:
            console.print(f"[yellow]{each.name} does not take part:[/] {escape(each.error)}", soft_wrap=True)
    return [each for each in found if each.error is None]


def table(found: list[Contestant], losses: dict[str, list[float]]) -> Table:
    result = Table(box=None, pad_edge=False)
    for heading in (
        "backend",
        "µs / document",
        "tokens / s",
        f"× {found[0].name}",
        "peak memory",
        "largest loss difference",
    ):
        result.add_column(heading, justify="left" if heading == "backend" else "right")
    reference, *_ = found
    for each in found:
        ratios = [
            theirs / ours for theirs, ours in zip(reference.per_document(), each.per_document(), strict=True)
        ]
        spread = f" [dim]({min(ratios):,.0f} to {max(ratios):,.0f})[/]" if each is not reference else ""
        pairs = list(zip(losses[reference.name], losses[each.name], strict=False))
        difference = max(abs(x - y) for x, y in pairs)
        result.add_row(
            f"[cyan]{each.name}[/]",
            f"{median(each.per_document()) * 1e6:,.1f}",
            f"{median(turn['tokens'] / turn['seconds'] for turn in each.turns[1:]):,.0f}",
            f"[bold]{median(ratios):,.1f}[/]{spread}",
            f"{each.turns[-1]['memory'] / MIB:,.0f} MiB",
            f"{difference:.1e} [dim]in {len(pairs):,} steps[/]" if each is not reference else "",
        )
    return result


def main(arguments: list[str]) -> int:
    parser = Parser("bench", description="Time a configuration on every installed backend, in turns.")
    parser.add_argument("overrides", nargs="*", metavar=KEY_VALUE, help="the configuration, as for training")
    parser.add_argument("--against", choices=["torch"], help="also a plain PyTorch model, on the CPU, eager")
    parser.add_argument("--turns", type=int, default=7, help="how often each has its turn (default: 7)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="how long a turn is, at least a step (default: 1)"
    )
    args = parser.parse_intermixed_args(arguments)
    try:
        at_least(1, turns=args.turns)
        at_least(0, seconds=args.seconds)
    except ValueError as error:
        raise UserError(str(error)) from None
    check_twice(args.overrides)
    if args.against and not importlib.util.find_spec(args.against):
        raise UserError(f"--against {args.against} needs {install_module(args.against)}")
    endless = {"steps": 10**9, "eval_every": 0, "scheduler": {"name": "constant", "warmup": 0.0}}
    config = compose(args.overrides) | endless
    console = terminal(140)
    found = contestants(config, args.against, console)
    if not found:
        raise UserError("no backend can run this")
    for number in range(args.turns + 1):
        for each in found:
            with console.status(
                f"turn {number} of {args.turns}: {each.name}" if number else f"{each.name} warms up"
            ):
                each.turn(args.seconds)
    losses = {each.name: each.finish() for each in found}
    sizes = ", ".join(
        f"{key} {config[key]}" for key in ("layers", "embed", "heads", "block_size", "batch_size")
    )
    console.print(f"[bold]{sizes}[/], medians of {args.turns} turns of {args.seconds:g} s")
    console.print(table(found, losses))
    return 0
