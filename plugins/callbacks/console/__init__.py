import math
import os
import shlex
import time

from microgpt_lab import at_least, hookimpl
from microgpt_lab.terminal import erase, format_duration, in_notebook, terminal

from .faster import faster_line
from .header import chosen_width, header_rows, panel, warnings
from .live import LiveView
from .notebook import NotebookView
from .result import are_text, drawn, escaped, how_many, mean, result_rows, sample_texts, samples_table, terms

# rich is imported where it is used, because that takes 30 to 45 ms and every command loads this file.

LAB = "python -m microgpt_lab"
BLOCKS = "▁▂▃▄▅▆▇█"
FIRST = 2.0  # seconds of training after which a pipe gets an estimate of the whole time
NUMBER_COLUMNS = 60  # width of the numbers in a progress line; the label and the bar share the rest
SAMPLES = 60  # columns of the samples in the line of a job


class Console:
    """Show a run: a progress bar on a terminal, lines in a pipe, one line per job in a sweep.

    A notebook gets the curve of the losses, which grows while the run trains.

    A pipe gets a line at each evaluation, and at least one line every `seconds`.

    seconds: longest time between two lines in a pipe, in seconds.
    live: on a terminal, also show the loss curve, samples and three figures of the model's health.
    """

    def __init__(self, *, seconds: float = 10.0, live: bool = False):
        at_least(0, seconds=seconds)
        self.seconds, self.wants_view, self.progress, self.view = seconds, live, None, None

    def run_started(self, run, trainer):
        self.run, self.trainer, self.losses, self.val = run, trainer, [], math.nan
        self.terminal = terminal()
        self.live = self.terminal.is_interactive and not run.parallel
        self.started_at = self.last_line_at = time.monotonic()
        self.first_step, self.estimated = trainer.step, False
        self.notebook = NotebookView(run, trainer) if in_notebook() and not run.in_sweep else None
        if self.notebook:
            return
        if not run.in_sweep:
            self.header()
        if self.live:
            self.show_progress()

    def show_progress(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        width = max(0, self.terminal.width - NUMBER_COLUMNS)
        label = shorten(self.run.name if self.run.in_sweep else "train", width // 2)
        bar_width = min(30, width - len(label))
        self.progress = Progress(
            *([TextColumn("[bold]{task.description}")] if label else ()),
            *([BarColumn(bar_width=bar_width)] if bar_width >= 10 else ()),
            MofNCompleteColumn(),
            TextColumn("loss [bold yellow]{task.fields[loss]}[/] val [bold green]{task.fields[val]}[/]"),
            TextColumn("[dim]{task.fields[speed]} tok/s[/]"),
            TimeRemainingColumn(),
            console=self.terminal,
            transient=self.run.in_sweep,
        )
        steps = self.trainer.steps
        self.task = self.progress.add_task(escaped(label), total=steps, loss="…", val="…", speed="…")
        if self.wants_view and not self.run.in_sweep:
            self.view = LiveView(self.trainer, self.terminal, self.progress)
        else:
            self.progress.start()

    def header(self):
        rows = header_rows(self.run, self.trainer)
        if self.live:
            self.terminal.print(panel(self.run, rows, self.terminal.width))
        else:
            for line in (
                self.run.name,
                *(f"  {name:<5}  {', '.join(facts)}" for name, facts in rows.items()),
            ):
                self.print_line(line)
        for line in warnings(self.run.config, self.trainer.corpus):
            self.print_line(f"warning: {line}")

    def step_finished(self, step, metrics):
        if self.notebook:
            self.notebook.step_finished(step, metrics)
            return
        self.losses.append(metrics["loss/train"])
        self.val = metrics.get("loss/val", self.val)
        recent = self.losses[-50:]
        loss, speed = sum(recent) / len(recent), metrics["perf/tokens_per_s"]
        if self.progress:
            val = f"{self.val:.3f}" if self.val == self.val else "…"
            self.progress.update(
                self.task, completed=step, loss=f"{loss:.3f}", val=val, speed=f"{speed:,.0f}"
            )
        elif not self.run.in_sweep:
            self.step_line(step, "loss/val" in metrics, loss, speed)
        if self.view:
            self.view.step_finished(step, metrics["loss/train"])

    def evaluated(self, step):
        if self.view:
            self.view.evaluated(step)

    def step_line(self, step, evaluated, loss, speed):
        """Print how far the training is, if it is time to, or once how long it will take."""
        now, steps, done = time.monotonic(), self.trainer.steps, self.trainer.step  # a call makes many steps
        left = format_duration((now - self.started_at) / (done - self.first_step) * (steps - done))
        if evaluated or now - self.last_line_at > self.seconds:
            self.last_line_at = now
            val, rate = f"  val {self.val:.4f}" if self.val == self.val else "", f"{speed:,.0f} tok/s"
            self.print_line(f"step {step}/{steps}  loss {loss:.4f}{val}  {rate}  {left} left")
        elif not self.estimated and now - self.started_at > FIRST:
            self.print_line(f"  time   about {left} for the other {steps - done:,} steps")
        else:
            return
        self.estimated = True

    def run_finished(self, run, summary):
        if self.notebook:
            self.notebook.run_finished(summary)
            return
        if self.progress:
            (self.view or self.progress).stop()
        if run.in_sweep:
            self.job_line(summary)
        elif summary["status"] != "ok":
            self.print_line(f"{summary['status']} after {summary['steps']} steps {summary.get('error', '')}")
            self.terminal.print(f"run dir {escaped(typed_path(run.folder))}", soft_wrap=True)
        else:
            self.result(summary)

    def job_line(self, summary):
        good = summary["status"] == "ok"
        mark = "[green]✓[/]" if good else "[red]✗[/]"
        if not good:
            val = f"{summary['status']} {escaped(summary.get('error', ''))}"
        elif "loss/val" not in summary:
            val = "no held-out documents"
        else:
            unit = " bits per character" if self.run.objective == "bits_per_char/val" else ""
            val = f"val [bold]{summary[self.run.objective]:.4f}[/]{unit}"
        width = f"  {chosen_width(self.run.config)}" if self.run.config["match"] != "none" else ""
        name = escaped(f"{self.run.name}{width}")
        line = f"{mark} {escaped(self.run.progress)} {val}  {summary['seconds']:.1f}s  {name}"
        words = " ".join(summary.get("samples", [])[:3]).split()
        samples = escaped(shorten(" ".join(words), SAMPLES))
        line += f"  [yellow]{sparkline(self.losses)}[/]  [dim]{samples}[/]"
        if self.terminal.is_interactive:
            if self.run.parallel:
                erase(self.terminal)
            self.terminal.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self.terminal.print(line, soft_wrap=True)

    def result(self, summary):
        from rich.table import Table

        table = Table(box=None, show_header=False, title="result", title_justify="left")
        for name, value in result_rows(summary, self.losses, self.trainer):
            table.add_row(f"[dim]{name}[/]", value)
        if summary["samples"]:
            self.with_samples(table, summary["samples"])
        else:
            self.terminal.print(table)
        if self.losses:
            curve = sparkline(self.losses)
            first, last = f"{self.losses[0]:.2f}", f"{mean(self.losses[-50:]):.2f}"
            self.terminal.print(
                f"[dim]training loss{terms(self.trainer)}[/] {first} [yellow]{curve}[/] {last}"
            )
        for name, command in self.next_commands(summary["seconds"]):
            self.terminal.print(f"[dim]{name:<8}[/] {escaped(command)}", soft_wrap=True)

    def with_samples(self, table, samples):
        """Print the table of the result, the samples beside or below it, and how they were drawn."""
        from rich.columns import Columns

        how = drawn(self.run)
        if are_text(self.trainer.corpus, samples):
            self.terminal.print(table, "[italic]samples[/]", sep="\n")
            for line in sample_texts(samples):
                self.terminal.print(line, soft_wrap=True)
            how += how_many(self.run, samples)
        else:
            documents = samples_table(self.trainer, samples)
            beside = Columns([table, documents], padding=(0, 4))
            self.terminal.print(*([beside] if self.live else [table, documents]))
            how += "; nll: negative log-likelihood in nats per token"
        self.terminal.print(f"[dim]{how}[/]", soft_wrap=not self.live)

    def next_commands(self, seconds):
        """The folder of the run, the commands that use it, and a faster one if it took long."""
        folder, config = typed_path(self.run.folder), self.run.config
        yield "run dir", folder
        if "tensorboard" in config["callback"]:
            yield "view", f"tensorboard --logdir {shlex.quote(typed_path(self.run.folder.parent))}"
        if "checkpoint" in config["callback"]:
            longer = " --length 500" if self.trainer.corpus.stream else ""
            yield "sample", f"{LAB} sample {shlex.quote(folder)}{longer}"
            yield "continue", f"{LAB} resume {shlex.quote(folder)} steps={2 * config['steps'] or 1000}"
        if line := faster_line(self.run, self.trainer, seconds):
            yield "faster", line

    def print_line(self, line):
        self.terminal.print(escaped(line), soft_wrap=True)


def shorten(text, length):
    """The text, shortened to this length, or nothing if fewer than 5 characters would fit."""
    if len(text) <= length:
        return text
    return text[: length - 1] + "…" if length >= 5 else ""


def typed_path(folder):
    """The path of the folder as a user would type it in the current folder."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def sparkline(losses, width=20):
    """A smoothed loss curve as one line of text."""
    if not losses:
        return ""
    size = max(1, math.ceil(len(losses) / width))
    means = [mean(losses[i : i + size]) for i in range(0, len(losses), size)]
    low, high = min(means), max(means)
    return "".join(BLOCKS[round((y - low) / (high - low or 1) * (len(BLOCKS) - 1))] for y in means)


@hookimpl
def callbacks():
    return [Console]
