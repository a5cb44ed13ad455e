import math

from microgpt_lab import between, hookimpl, printable


class Samples:
    """Write samples.txt: a few documents at each evaluation, and the samples at the end of the run.

    Each document follows the step (or 'end') and a tab. Its further lines begin with a tab.

    number: documents at each evaluation.
    """

    def __init__(self, *, number: int = 5):
        between(0, 100_000, number=number)
        self.number = number

    def run_started(self, run, trainer):
        self.trainer, self.path = trainer, run.folder / "samples.txt"
        run.drop_after("samples.txt", trainer.step, StepOfLine())

    def evaluated(self, step):
        self.write(step, self.trainer.preview(self.number))

    def run_finished(self, summary):
        self.write("end", summary.get("samples", []))

    def write(self, step, samples):
        with self.path.open("a", encoding="utf-8") as file:
            for sample in samples:
                lines = map(printable, sample.split("\n"))
                file.write(f"{step}\t" + "\n\t".join(lines) + "\n")


class StepOfLine:
    """Return the step of each line of samples.txt, called on all lines in order. ValueError for 'end'."""

    def __init__(self):
        self.step = math.inf

    def __call__(self, line):
        if word := line.partition("\t")[0]:
            self.step = math.inf  # also of the lines after 'end'
            self.step = int(word)
        return self.step


@hookimpl
def callbacks():
    return [Samples]
