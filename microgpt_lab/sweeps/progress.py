"""Show the progress of a sweep in a line at the bottom of a terminal."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from microgpt_lab.terminal import erase, terminal


class ProgressBar:
    """A progress bar, shown inside a `with` block; invisible in a pipe, or if it is not wanted.

    Jobs print on the same terminal: when a job ends, it erases the bar and prints a line. The bar is then
    drawn again below that line. It has no thread, because a fork would not inherit it.
    """

    def __init__(self, jobs: int, wanted: bool):
        console = terminal()
        self.visible = wanted and console.is_interactive
        self.progress = Progress(
            TextColumn("[bold]sweep"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self.visible,
        )
        self.task = self.progress.add_task("", total=jobs)

    def __enter__(self) -> ProgressBar:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    @property
    def refresh_seconds(self) -> float | None:
        """Seconds to wait for a job before the bar is drawn again; None if it is invisible."""
        return 0.5 if self.visible else None

    def show(self, ended: int, running: int) -> None:
        self.progress.update(self.task, completed=ended, description=f"{running} running", refresh=True)

    def erase(self) -> None:
        """Erase the bar before something else is printed."""
        if self.visible:
            erase(self.progress.console)
