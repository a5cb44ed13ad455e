from microgpt_lab import between, hookimpl, printable


class Samples:
    """Write samples.txt: a few documents at each evaluation, and the samples at the end of the run.

    Each line is the step (or 'end'), a tab, and a document.

    number: documents at each evaluation.
    """

    def __init__(self, *, number: int = 5):
        between(0, 100_000, number=number)
        self.number = number

    def run_started(self, run, trainer):
        self.trainer, self.path = trainer, run.folder / "samples.txt"
        run.drop_after("samples.txt", trainer.step, lambda line: int(line.partition("\t")[0]))

    def evaluated(self, step):
        self.write(step, self.trainer.preview(self.number))

    def run_finished(self, summary):
        self.write("end", summary.get("samples", []))

    def write(self, step, samples):
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{step}\t{printable(sample)}\n" for sample in samples)


@hookimpl
def callbacks():
    return [Samples]
