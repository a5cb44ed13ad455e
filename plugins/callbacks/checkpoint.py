import hashlib
import json
import math
import time

from microgpt_lab import at_least, hookimpl


class Checkpoint:
    """Writes checkpoint.bin, with which `resume` goes on and `sample` samples, and keeps the one before.

    At the end, after every `every` steps (0: none for their number), and when `seconds` have gone by
    since the last (but saving takes a fiftieth of the time at most). With `best`, also after each
    evaluation with a lower validation loss than all before; a copy of that one is checkpoint.best.bin.

    every: steps between two checkpoints (0: none for their number).
    seconds: time between two checkpoints.
    best: keep the checkpoint of the lowest validation loss too (on with early_stopping).
    """

    order = 1  # after all that write, and answer whether to stop

    def __init__(self, *, every: int = 0, seconds: float = 10.0, best: bool = False):
        at_least(0, every=every, seconds=seconds)
        self.every, self.seconds, self.best = every, seconds, best
        self.lowest = None  # the step and the validation loss of the best checkpoint

    def run_started(self, run, trainer):
        self.run, self.trainer = run, trainer
        self.told, self.stopped, self.due = trainer.step, False, time.monotonic() + self.seconds
        # What losses are measured on: only those of the same pieces can be compared.
        pieces = json.dumps(trainer.pieces(trainer.held_out)) if self.best else ""
        self.measured_on = hashlib.sha256(pieces.encode()).hexdigest()

    def should_stop(self, step, metrics, stopped):
        """Asked when everyone has been told of the step: what they wrote of it is there already."""
        self.told, self.stopped = step, stopped
        if step == self.trainer.step:
            counted = self.every and step % self.every == 0
            if self.is_best(metrics) or counted or time.monotonic() >= self.due:
                self.save(metrics)

    def run_finished(self, summary):
        # What diverged would replace what was good; what was cut off is not told of in full.
        if summary["status"] in ("ok", "interrupted") and self.told == self.trainer.step:
            self.save(summary)

    def is_best(self, figures):
        """Whether no validation loss was as low as that among these figures, if there is one."""
        lowest = self.lowest[1] if self.lowest else math.inf
        return self.best and figures.get("loss/val", math.inf) < lowest

    def save(self, figures):
        begun = time.monotonic()
        if best := self.is_best(figures):
            self.lowest = self.trainer.step, figures["loss/val"]
        # The best one second: it is never of a later step than that with which `resume` goes on.
        paths = [self.run.save(self.trainer, self.stopped)]
        if best:
            paths.append(self.run.keep_best(self.trainer.step, figures["loss/val"]))
        ended = time.monotonic()
        self.due = ended + max(self.seconds, 50 * (ended - begun))
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
