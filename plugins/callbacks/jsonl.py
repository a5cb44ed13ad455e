import json

import msgspec

from microgpt_lab import hookimpl


class Jsonl:
    """Write metrics.jsonl: one JSON object per step, with all digits."""

    def run_started(self, run, trainer):
        run.drop_after("metrics.jsonl", trainer.step, lambda line: json.loads(line)["step"])
        self.file, self.encode = (run.folder / "metrics.jsonl").open("ab"), msgspec.json.Encoder().encode

    def step_finished(self, step, metrics):
        self.file.write(self.encode({"step": step, **metrics}) + b"\n")
        # Hands the line to the kernel, so that a kill cannot lose it. A checkpoint syncs it to the disk.
        self.file.flush()

    def run_finished(self):
        self.file.close()


@hookimpl
def callbacks():
    return [Jsonl]
