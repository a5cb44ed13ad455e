import math

from microgpt_lab import at_least, hookimpl


class EarlyStopping:
    """Stop when the validation loss has not improved for `patience` evaluations in a row (see eval_every).

    With callback=checkpoint, the checkpoint with the lowest validation loss is kept too, unless
    `callback.checkpoint.best=false`.

    patience: evaluations without an improvement after which training stops.
    min_delta: how much lower a loss must be to count as an improvement, in nats per token.
    """

    name = "early_stopping"
    turns_on = ("callback.checkpoint.best",)

    def __init__(self, *, patience: int = 3, min_delta: float = 0.0):
        at_least(1, patience=patience)
        at_least(0, min_delta=min_delta)
        self.patience, self.min_delta = patience, min_delta
        self.best, self.worse = math.inf, 0

    def evaluated(self, loss):
        if loss < self.best - self.min_delta:
            self.best, self.worse = loss, 0
        else:
            self.worse += 1

    def should_stop(self):
        return self.worse >= self.patience

    def state_dict(self):
        return {"best": self.best if self.best < math.inf else None, "worse": self.worse}

    def load_state_dict(self, state):
        self.best = math.inf if state["best"] is None else state["best"]
        self.worse = state["worse"]


@hookimpl
def callbacks():
    return [EarlyStopping]
