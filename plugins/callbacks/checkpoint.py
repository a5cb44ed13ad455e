import hashlib
import json
import math
import time

from microgpt_lab import at_least, hookimpl


class Checkpoint:
    """Write checkpoint.bin, from which `resume` and `sample` load a run, and keep the previous one.

    A checkpoint is written at the end, every `every` steps, and when `seconds` have passed since the last
    one (but saving takes at most 2 % of the time). With `best`, a checkpoint is also written after each
    evaluation with the lowest validation loss so far, and copied to checkpoint.best.bin.

    every: steps between two checkpoints (0: only `seconds` counts).
    seconds: time between two checkpoints, in seconds.
    best: also keep the checkpoint with the lowest validation loss (on with early_stopping).
    """

    order = 1  # after the callbacks that write files or ask to stop

    def __init__(self, *, every: int = 0, seconds: float = 10.0, best: bool = False):
        at_least(0, every=every, seconds=seconds)
        self.every, self.seconds, self.best = every, seconds, best
        self.lowest = None  # the step and the validation loss of the best checkpoint

    def run_started(self, run, trainer):
        self.run, self.trainer = run, trainer
        self.reported_step, self.stopped = trainer.step, False
        self.next_save = time.monotonic() + self.seconds
        # Identifies the validation documents, because losses on others cannot be compared.
        pieces = json.dumps(trainer.pieces(trainer.held_out)) if self.best else ""
        self.measured_on = hashlib.sha256(pieces.encode()).hexdigest()

    def should_stop(self, step, metrics, stopped):
        """Save if a checkpoint is due. All other callbacks have written their records of the step by now."""
        self.reported_step, self.stopped = step, stopped
        if step == self.trainer.step:
            multiple = self.every and step % self.every == 0
            if self.is_best(metrics) or multiple or time.monotonic() >= self.next_save:
                self.save(metrics)

    def run_finished(self, summary):
        # A diverged run keeps its last good checkpoint. A step that was interrupted before all callbacks
        # heard of it is not saved.
        if summary["status"] in ("ok", "interrupted") and self.reported_step == self.trainer.step:
            self.save(summary)

    def is_best(self, metrics):
        """Return whether the metrics contain a validation loss, and it is the lowest so far."""
        lowest = self.lowest[1] if self.lowest else math.inf
        return self.best and metrics.get("loss/val", math.inf) < lowest

    def save(self, metrics):
        started = time.monotonic()
        if best := self.is_best(metrics):
            self.lowest = self.trainer.step, metrics["loss/val"]
        # The best checkpoint is written second, so that its step is never after that of checkpoint.bin.
        paths = [self.run.save(self.trainer, self.stopped)]
        if best:
            paths.append(self.run.keep_best(self.trainer.step, metrics["loss/val"]))
        ended = time.monotonic()
        self.next_save = ended + max(self.seconds, 50 * (ended - started))
        for path in paths:
            self.trainer.watch("checkpoint_saved", step=self.trainer.step, path=str(path))

    def state_dict(self):
        return {"lowest": self.lowest, "measured_on": self.measured_on}

    def load_state_dict(self, state):
        if self.best and state["lowest"] and state["measured_on"] == self.measured_on:
            step, loss = state["lowest"]
            if math.isfinite(loss) and self.run.find_best(step, loss):
                self.lowest = step, loss


@hookimpl
def callbacks():
    return [Checkpoint]
