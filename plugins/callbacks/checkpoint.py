import time

from microgpt_lab import at_least, hookimpl


class Checkpoint:
    """Writes checkpoint.bin, with which `resume` goes on and `sample` samples, and keeps the one before.

    At the end, after every `every` steps (0: none for their number), and when `seconds` have gone by
    since the last (but saving takes a fiftieth of the time at most).

    every: steps between two checkpoints (0: none for their number).
    seconds: time between two checkpoints.
    """

    order = 1  # after all that write, and answer whether to stop

    def __init__(self, *, every: int = 0, seconds: float = 10.0):
        at_least(0, every=every, seconds=seconds)
        self.every, self.seconds = every, seconds

    def run_started(self, run, trainer):
        self.run, self.trainer = run, trainer
        self.told, self.stopped, self.due = trainer.step, False, time.monotonic() + self.seconds

    def should_stop(self, step, stopped):
        """Asked when everyone has been told of the step: what they wrote of it is there already."""
        self.told, self.stopped = step, stopped
        counted = self.every and step % self.every == 0
        if step == self.trainer.step and (counted or time.monotonic() >= self.due):
            self.save()

    def run_finished(self, summary):
        # What diverged would replace what was good; what was cut off is not told of in full.
        if summary["status"] in ("ok", "interrupted") and self.told == self.trainer.step:
            self.save()

    def save(self):
        begun = time.monotonic()
        path = self.run.save(self.trainer, self.stopped)
        ended = time.monotonic()
        self.due = ended + max(self.seconds, 50 * (ended - begun))
        self.trainer.watch("checkpoint_saved", step=self.trainer.step, path=str(path))


@hookimpl
def callbacks():
    return [Checkpoint]
