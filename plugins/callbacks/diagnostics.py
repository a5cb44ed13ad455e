import json
import math

from microgpt_lab import hookimpl, part
from microgpt_lab.core.diagnostics import diagnose


class Diagnostics:
    """Measure gradients, updates and activations at each evaluation: diagnostics.jsonl, and in TensorBoard.

    By weight matrix: root mean square of weights and gradient, log10(update / weights). By layer: dead hidden
    units, saturation, entropy of the attention weights, and size of the residual stream.
    """

    def run_started(self, run, trainer):
        self.trainer, self.path = trainer, run.folder / "diagnostics.jsonl"
        self.arrays = part("backend", "numpy")
        run.drop_after("diagnostics.jsonl", trainer.step, lambda line: json.loads(line)["step"])

    def evaluated(self, step):
        numbers = diagnose(self.trainer, self.arrays)
        finite = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | finite) + "\n")
        self.trainer.watch("measured", step=step, numbers=numbers)


@hookimpl
def callbacks():
    return [Diagnostics]
