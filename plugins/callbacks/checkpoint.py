import json

from microgpt_lab import hookimpl


class Checkpoint:
    """Writes checkpoint.json: the weights with all digits, the vocabulary and the configuration.

    At the end, and after every `every` steps (0: at the end only).
    """

    def __init__(self, *, every: int = 0):
        self.every = every

    def run_started(self, run, trainer):
        self.run, self.trainer = run, trainer

    def step_finished(self, step):
        if self.every and step % self.every == 0:
            self.save()

    def run_finished(self, summary):
        if summary["status"] in ("ok", "interrupted"):  # what diverged would replace what was good
            self.save()

    def save(self):
        trainer = self.trainer
        content = {
            "step": trainer.step,
            "config": self.run.config,
            "chars": trainer.corpus.chars,
            "weights": {name: weight.tolist() for name, weight in trainer.weights.items()},
        }
        path = self.run.folder / "checkpoint.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
        part.replace(path)
        trainer.watch("checkpoint_saved", step=trainer.step, path=str(path))


@hookimpl
def callbacks():
    return [Checkpoint]
