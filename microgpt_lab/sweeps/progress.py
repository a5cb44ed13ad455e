"""How far a sweep is, in one line at the bottom of a terminal."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from microgpt_lab.terminal import erase, terminal


class Bar:
    """The line, while it is entered; nothing in a pipe, or where it is not wanted.

    Jobs print on the same terminal, each a line when it ends, after they have erased this one;
    it comes again below. It has no thread, which a fork would not have.
    """

    def __init__(self, jobs: int, wanted: bool):
        console = terminal()
        self.live = wanted and console.is_interactive
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
            disable=not self.live,
        )
        self.task = self.progress.add_task("", total=jobs)

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    @property
    def pause(self) -> float | None:
        """How long to wait for a job before the line is drawn again, in seconds."""
        return 0.5 if self.live else None

    def show(self, ended: int, at_work: int) -> None:
        self.progress.update(self.task, completed=ended, description=f"{at_work} at work", refresh=True)

    def erase(self) -> None:
        """Before something else is printed."""
        if self.live:
            erase(self.progress.console)
