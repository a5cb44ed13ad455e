import json

from microgpt_lab import hookimpl


class Jsonl:
    """Writes metrics.jsonl: one JSON object a step, with all digits."""

    def run_started(self, run, trainer):
        run.forget("metrics.jsonl", trainer.step, lambda line: json.loads(line)["step"])
        self.file = (run.folder / "metrics.jsonl").open("a", encoding="utf-8", buffering=1)

    def step_finished(self, step, metrics):
        self.file.write(json.dumps({"step": step} | metrics) + "\n")

    def run_finished(self):
        self.file.close()


@hookimpl
def callbacks():
    return [Jsonl]
