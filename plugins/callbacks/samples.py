from random import Random

from microgpt_lab import hookimpl


class Samples:
    """Writes samples.txt: a few documents at each evaluation, and those of the end."""

    def __init__(self, *, number: int = 5):
        self.number = number

    def run_started(self, run, trainer):
        self.trainer, self.path = trainer, run.folder / "samples.txt"

    def evaluated(self, step):
        self.write(step, self.trainer.sample(Random(0), samples=self.number))

    def run_finished(self, summary):
        self.write(summary["steps"], summary.get("samples", []))

    def write(self, step, samples):
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{step}\t{sample}\n" for sample in samples)


@hookimpl
def callbacks():
    return [Samples]
