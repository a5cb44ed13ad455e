import math
import os
import shlex
import time

from microgpt_lab import at_least, hookimpl, printable
from microgpt_lab.terminal import erase, terminal

# rich is imported where it is used: that takes 30 to 45 ms, and every command loads this file.

LAB = "python -m microgpt_lab"
LONG = {"truncate": "cut", "window": "in windows"}
SEEN = 0.25  # of the validation part in training, above which a header warns
BLOCKS = "▁▂▃▄▅▆▇█"
NUMBERS = 60  # columns that the numbers of a progress line take; a label and a bar get what is left


class Console:
    """Shows a run: a bar on a terminal, lines in a pipe, one line a job in a sweep.

    In a pipe there is a line at each evaluation, and at least every `seconds`.

    seconds: longest time between two lines in a pipe.
    """

    def __init__(self, *, seconds: float = 10.0):
        at_least(0, seconds=seconds)
        self.seconds, self.progress = seconds, None

    def run_started(self, run, trainer):
        self.run, self.trainer, self.losses, self.val = run, trainer, [], math.nan
        self.terminal = terminal()
        self.live = self.terminal.is_interactive and not run.parallel
        self.began = self.shown = time.monotonic()
        if not run.in_sweep:
            self.header()
        if self.live:
            self.show_progress()

    def show_progress(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        room = max(0, self.terminal.width - NUMBERS)
        label = cut(self.run.name if self.run.in_sweep else "train", room // 2)
        bar = min(30, room - len(label))
        self.progress = Progress(
            *([TextColumn("[bold]{task.description}")] if label else ()),
            *([BarColumn(bar_width=bar)] if bar >= 10 else ()),
            MofNCompleteColumn(),
            TextColumn("loss [bold yellow]{task.fields[loss]}[/] val [bold green]{task.fields[val]}[/]"),
            TextColumn("[dim]{task.fields[speed]} tok/s[/]"),
            TimeRemainingColumn(),
            console=self.terminal,
            transient=bool(self.run.in_sweep),
        )
        steps = self.trainer.steps
        self.task = self.progress.add_task(shown(label), total=steps, loss="…", val="…", speed="…")
        self.progress.start()

    def header(self):
        run, corpus = self.run, self.trainer.corpus
        commit = (run.environment["git_commit"] or "none")[:7] + (
            "+dirty" if run.environment["git_dirty"] else ""
        )
        sizes = "/".join(f"{len(part):,}" for part in (corpus.train, corpus.validation, corpus.test))
        long = f", {corpus.long:,} long ones {LONG[corpus.long_docs]}" if corpus.long else ""
        facts = {
            "params": f"{self.trainer.parameters:,}",
            "data": f"{run.config['dataset']['name']} {run.environment['documents']:,} docs{long}",
            "split": f"{run.config['split']} {sizes}",
        }
        new = corpus.new(corpus.validation)
        seen = sum(not any(pieces) for pieces in new) / max(1, len(new))
        facts |= {"validation": f"{seen:.1%} seen in training"} if new else {}
        facts["git"] = commit
        if self.live:
            from rich.panel import Panel

            text = "   ".join(f"[dim]{name}[/] [bold]{shown(fact)}[/]" for name, fact in facts.items())
            self.terminal.print(
                Panel(text, title=f"[bold cyan]{shown(run.name)}", title_align="left", expand=False)
            )
        else:
            self.plain(f"{run.name}: " + ", ".join(f"{name} {fact}" for name, fact in facts.items()))
        if seen > SEEN:
            cut = f", cut at block_size={corpus.block_size}," if corpus.long else ""
            self.plain(
                f"warning: {seen:.0%} of the validation documents{cut} stand in the training part too: "
                "judge by the loss on the unseen ones"
            )

    def step_finished(self, step, metrics):
        self.losses.append(metrics["loss/train"])
        self.val = metrics.get("loss/val", self.val)
        recent = self.losses[-50:]
        loss, speed = sum(recent) / len(recent), metrics["perf/tokens_per_s"]
        if self.progress:
            val = f"{self.val:.3f}" if self.val == self.val else "…"
            self.progress.update(
                self.task, completed=step, loss=f"{loss:.3f}", val=val, speed=f"{speed:,.0f}"
            )
        elif not self.run.in_sweep and (
            "loss/val" in metrics or time.monotonic() - self.shown > self.seconds
        ):
            self.shown = time.monotonic()
            left = (self.shown - self.began) / step * (self.trainer.steps - step)
            val, rate = f"  val {self.val:.4f}" if self.val == self.val else "", f"{speed:,.0f} tok/s"
            self.plain(f"step {step}/{self.trainer.steps}  loss {loss:.4f}{val}  {rate}  {left:.0f} s left")

    def run_finished(self, run, summary):
        if self.progress:
            self.progress.stop()
        if run.in_sweep:
            self.job_line(summary)
        elif summary["status"] != "ok":
            self.plain(f"{summary['status']} after {summary['steps']} steps {summary.get('error', '')}")
            self.terminal.print(f"run dir {shown(place(run.folder))}", soft_wrap=True)
        else:
            self.end(summary)

    def job_line(self, summary):
        good = summary["status"] == "ok"
        mark = "[green]✓[/]" if good else "[red]✗[/]"
        if good:
            val = (
                f"val [bold]{summary['loss/val']:.4f}[/]"
                if "loss/val" in summary
                else "no held-out documents"
            )
        else:
            val = f"{summary['status']} {shown(summary.get('error', ''))}"
        name = shown(f"{self.run.progress} {self.run.name}")
        line = f"{mark} {name}  {val}  {summary['seconds']:.1f}s"
        samples = shown(" ".join(summary.get("samples", [])[:3]))
        line += f"  [yellow]{sparkline(self.losses)}[/]  [dim]{samples}[/]"
        if self.terminal.is_interactive:
            if self.run.parallel:
                erase(self.terminal)
            self.terminal.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self.terminal.print(line, soft_wrap=True)

    def end(self, summary):
        from rich.columns import Columns
        from rich.table import Table

        result = Table(box=None, show_header=False, title="result", title_justify="left")
        for name, value in figures(summary, self.losses):
            result.add_row(f"[dim]{name}[/]", value)
        samples = Table(box=None, title="samples", title_justify="left")
        for name in ("#", "sample", "nll", "new?"):
            samples.add_column(name, justify="right" if name in "# nll" else "left")
        news = self.trainer.corpus.new(summary["samples"])
        for i, (sample, (is_new, *_)) in enumerate(zip(summary["samples"], news)):
            nll = f"{self.trainer.evaluate([sample]):.2f}"
            new = "[green]new[/]" if is_new else "[dim]in train[/]"
            samples.add_row(str(i), f"[cyan]{shown(sample)}[/]", nll, new)
        self.terminal.print(Columns([result, samples], padding=(0, 4)) if self.live else result)
        if not self.live:
            self.terminal.print(samples)
        if summary["samples"]:
            drawn = f"drawn at temperature {self.run.config['temperature']:g}"
            nll = "nll: negative log-likelihood in nats per token"
            self.terminal.print(f"[dim]{drawn}; {nll}[/]", soft_wrap=not self.live)
        if self.losses:
            curve = sparkline(self.losses)
            first, last = f"{self.losses[0]:.2f}", f"{mean(self.losses[-50:]):.2f}"
            self.terminal.print(f"[dim]training loss[/] {first} [yellow]{curve}[/] {last}")
        for name, command in self.next():
            self.terminal.print(f"[dim]{name:<8}[/] {shown(command)}", soft_wrap=True)

    def next(self):
        """Where the run is, and what to do with it."""
        folder, config = place(self.run.folder), self.run.config
        yield "run dir", folder
        if "tensorboard" in config["callback"]:
            yield "view", f"tensorboard --logdir {shlex.quote(place(self.run.folder.parent))}"
        if "checkpoint" in config["callback"]:
            yield "sample", f"{LAB} sample {shlex.quote(folder)}"
            yield "train on", f"{LAB} resume {shlex.quote(folder)} steps={2 * config['steps'] or 1000}"

    def plain(self, line):
        self.terminal.print(shown(line), soft_wrap=True)


def figures(summary, losses):
    """The rows of the result: what a run has come to, beside what guessing costs on the same documents."""
    if "loss/val" in summary:
        val = summary["loss/val"]
        yield "val loss", f"[bold]{val:.4f}[/] nats a token, on {summary['documents/val']:,} documents"
        unseen = summary["documents/val_unseen"]
        loss = f"{summary['loss/val_unseen']:.4f}" if unseen else "none"
        yield "  unseen", f"{loss} [dim]on the {unseen:,} that training has not seen[/]"
        if summary.get("best/loss/val", val) < val:
            step = f"{summary['best/step']:,}"
            yield "  best", f"{summary['best/loss/val']:.4f} [dim]at step {step} (sample --best)[/]"
        for name, nats in summary["guessing"].items():
            worse = "beaten" if val < nats else "not beaten"
            yield f"  {name}", f"{nats:.4f} [dim]{worse}[/]"
        yield "perplexity", f"[bold]{math.exp(min(val, 700)):.2f}[/]"
    elif losses:
        yield "train loss", f"[bold]{mean(losses[-100:]):.4f}[/] mean of the last {len(losses[-100:])} steps"
    if "exact_match" in summary:
        share, documents = summary["exact_match"], summary["documents/exact_match"]
        yield "exact match", f"[bold]{share:.0%}[/] of the answers, on {documents} documents"
    if summary["samples_new"] is not None:
        yield "new samples", f"[bold]{summary['samples_new']:.0%}[/]"
    yield "time", f"[bold]{summary['seconds']:.1f}s[/]"


def shown(text):
    """As it is, whatever marks of rich's or of the terminal's are in it."""
    from rich.markup import escape

    return escape(printable(text))


def cut(text, length):
    """The text, or what fits of it; nothing where that would be a letter or two."""
    if len(text) <= length:
        return text
    return text[: length - 1] + "…" if length >= 5 else ""


def mean(numbers):
    return sum(numbers) / len(numbers)


def place(folder):
    """The path as one would type it here."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def sparkline(losses, width=20):
    """The curve of a loss in one line of text, smoothed."""
    if not losses:
        return ""
    size = max(1, math.ceil(len(losses) / width))
    means = [mean(losses[i : i + size]) for i in range(0, len(losses), size)]
    low, high = min(means), max(means)
    return "".join(BLOCKS[round((y - low) / (high - low or 1) * (len(BLOCKS) - 1))] for y in means)


@hookimpl
def callbacks():
    return [Console]
