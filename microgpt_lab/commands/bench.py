"""`python -m microgpt_lab bench [key=value …]`: time the same configuration on every backend, in turns."""

from __future__ import annotations

import importlib.util
import multiprocessing
import signal
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import KEY_VALUE, Parser
from microgpt_lab.errors import UserError, at_least
from microgpt_lab.options.compose import compose
from microgpt_lab.options.differences import differences
from microgpt_lab.options.keys import format_value
from microgpt_lab.options.mistakes import check_twice
from microgpt_lab.registry.extras import install_module
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.available import peak
from microgpt_lab.run.match import matched
from microgpt_lab.terminal import terminal

MIB = 2**20


def train_in_turns(pipe: Connection, config: dict[str, Any], torch_dtype: str | None) -> None:
    """Train in turns, in a process of its own, so that memory and threads are measured separately.

    Sends the text of an error, or None. Then it receives the seconds of each turn and sends the turn's
    measurements. After None it sends all losses.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends this one
    try:
        trainer: Any = assemble(config, load_documents(config))
        if torch_dtype:
            from microgpt_lab.checks.pytorch import Torch

            trainer = Torch(trainer, config, torch_dtype)
        losses = [metrics["loss/train"] for metrics in trainer.advance(steps_per_call(trainer))]  # compiles
    except (UserError, ModuleNotFoundError, FloatingPointError) as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while (seconds := pipe.recv()) is not None:
        started, first = time.perf_counter(), trainer.step
        try:
            while time.perf_counter() - started < seconds or trainer.step == first:
                losses += [metrics["loss/train"] for metrics in trainer.advance(steps_per_call(trainer))]
        except FloatingPointError as error:
            pipe.send(str(error))
            return
        elapsed = time.perf_counter() - started
        tokens = sum(trainer.inputs(step)[0].tokens for step in range(first, trainer.step))
        documents = (trainer.step - first) * trainer.batch_size * trainer.accumulate
        pipe.send({"seconds": elapsed, "documents": documents, "tokens": tokens, "memory": peak()})
    pipe.send(losses)


def steps_per_call(trainer: Any) -> int:
    """Return how many steps a run would let the backend compute in one call."""
    return min(trainer.backend.fused, trainer.steps_per_second) if trainer.step else 1


class Contestant:
    """A backend that trains in another process, one turn at a time."""

    def __init__(self, name: str, config: dict[str, Any], torch_dtype: str | None = None):
        context = multiprocessing.get_context("spawn")
        self.name, self.turns = name, []
        self.pipe, child_pipe = context.Pipe()
        self.process = context.Process(
            target=train_in_turns, args=(child_pipe, config, torch_dtype), daemon=True
        )
        self.process.start()
        child_pipe.close()
        self.error: str | None = self.receive()

    def receive(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            raise UserError(f"{self.name} ended unexpectedly (out of memory?)") from None

    def turn(self, seconds: float) -> None:
        """Train for one turn, and keep its measurements."""
        self.pipe.send(seconds)
        turn = self.receive()
        if isinstance(turn, str):
            raise UserError(f"{self.name}: {turn}")
        self.turns.append(turn)

    def finish(self) -> list[float]:
        """End the process, and return the losses of all steps."""
        self.pipe.send(None)
        losses = self.receive()
        self.process.join()
        return losses

    def seconds_per_document(self) -> list[float]:
        """The seconds per document of each turn, without the first, in which backends compile and record."""
        return [turn["seconds"] / turn["documents"] for turn in self.turns[1:]]


def start_contestants(config: dict[str, Any], against: str | None, console: Console) -> list[Contestant]:
    """Start every backend that can run this configuration, and print a line for each that cannot."""
    started = []
    for name in sorted(registry().names("backend"), key=lambda name: name != "python"):
        options = registry().get("backend", name).options
        chosen = {key: value for key, value in config["backend"].items() if key in options}
        with console.status(f"{name} …"):
            started.append(Contestant(name, config | {"backend": {"name": name, **chosen}}))
    if against:
        with console.status(f"{against} …"):
            dtype = config["backend"].get("precision", "float64")
            started.append(Contestant(f"PyTorch {dtype}", config | {"backend": {"name": "python"}}, dtype))
    for each in started:
        if each.error is not None and each.name == config["backend"]["name"]:
            raise UserError(each.error)
        if each.error is not None:
            console.print(f"[yellow]{each.name} is left out:[/] {escape(each.error)}", soft_wrap=True)
    return [each for each in started if each.error is None]


def table(contestants: list[Contestant], losses: dict[str, list[float]]) -> Table:
    """Make the table of results. The first contestant is the reference for the others."""
    result = Table(box=None, pad_edge=False)
    for heading in (
        "backend",
        "µs / document",
        "tokens / s",
        f"× {contestants[0].name}",
        "peak memory",
        "largest loss difference",
    ):
        result.add_column(heading, justify="left" if heading == "backend" else "right")
    reference, *_ = contestants
    for each in contestants:
        pairs_of_turns = zip(reference.seconds_per_document(), each.seconds_per_document(), strict=True)
        ratios = [base / own for base, own in pairs_of_turns]
        spread = f" [dim]({min(ratios):,.0f} to {max(ratios):,.0f})[/]" if each is not reference else ""
        pairs = list(zip(losses[reference.name], losses[each.name], strict=False))
        difference = max(abs(x - y) for x, y in pairs)
        result.add_row(
            f"[cyan]{each.name}[/]",
            f"{median(each.seconds_per_document()) * 1e6:,.1f}",
            f"{median(turn['tokens'] / turn['seconds'] for turn in each.turns[1:]):,.0f}",
            f"[bold]{median(ratios):,.1f}[/]{spread}",
            f"{memory / MIB:,.0f} MiB" if (memory := each.turns[-1]["memory"]) else "unknown",
            f"{difference:.1e} [dim]in {len(pairs):,} steps[/]" if each is not reference else "",
        )
    return result


def described(config: dict[str, Any], ignored: Iterable[str]) -> dict[str, Any]:
    """Return the sizes, and the keys that differ from their defaults and may change the time of a step."""
    sizes = {key: config[key] for key in ("layers", "embed", "heads", "block_size", "batch_size")}
    chosen = {key: format_value(value) for key, (value, _) in differences(config).items()}
    without = {*ignored, *sizes, "backend", "callback", "seed"}
    return sizes | {key: value for key, value in chosen.items() if key.partition(".")[0] not in without}


def main(arguments: list[str]) -> int:
    parser = Parser("bench", description="Time a configuration on every installed backend, in turns.")
    parser.add_argument("overrides", nargs="*", metavar=KEY_VALUE, help="the configuration, as in training")
    parser.add_argument(
        "--against", choices=["torch"], help="also time a plain PyTorch model, in eager mode on the CPU"
    )
    parser.add_argument("--turns", type=int, default=7, help="number of turns per backend (default: 7)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        help="length of a turn in seconds; it has at least one step (default: 1)",
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
    config = matched(compose(args.overrides), args.overrides) | endless
    console = terminal(140)
    contestants = start_contestants(config, args.against, console)
    if not contestants:
        raise UserError("no backend can run this configuration")
    for number in range(args.turns + 1):
        for each in contestants:
            with console.status(
                f"turn {number} of {args.turns}: {each.name}" if number else f"{each.name} warms up"
            ):
                each.turn(args.seconds)
    losses = {each.name: each.finish() for each in contestants}
    what = ", ".join(f"{key} {value}" for key, value in described(config, endless).items())
    console.print(f"[bold]{escape(what)}[/], medians of {args.turns} turns of {args.seconds:g} s")
    console.print(table(contestants, losses))
    return 0
