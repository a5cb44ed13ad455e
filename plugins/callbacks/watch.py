import json
import math

from microgpt_lab import at_least, hookimpl
from microgpt_lab.core.diagnostics import next_gradients
from microgpt_lab.core.naming import find_weight
from microgpt_lab.terminal import silent_if_closed


class Watch:
    """Print chosen weights and their gradients as they change, and write them to watch.jsonl.

    `watch=[layer0.attention.wq:2:5]` on the command line turns it on. This weight is in row 2 and column 5 of
    its matrix, from 0. The gradient is that of the next step, before clipping. TensorBoard shows both.

    numbers: names of weights, with spaces between them, such as 'layer0.attention.wq:2:5 lm_head:0:3'.
    every: steps between two lines.
    """

    order = 1  # after the callbacks that show what it measures before the first step

    def __init__(self, *, numbers: str = "wte:0:0", every: int = 20):
        at_least(1, every=every)
        self.names, self.every = numbers.split(), every

    def check(self, run, trainer):
        if not self.names:
            raise ValueError("numbers must be names of weights, such as layer0.attention.wq:2:5, not empty")
        shapes = {name: w.shape for name, w in trainer.weights.items()}
        self.places = {name: find_weight(name, shapes) for name in self.names}

    def run_started(self, run, trainer):
        self.run, self.trainer = run, trainer
        run.drop_after("watch.jsonl", trainer.step, lambda line: json.loads(line)["step"])
        self.file = (run.folder / "watch.jsonl").open("a", encoding="utf-8")
        if trainer.step == 0 < trainer.steps:
            self.show(0)

    def step_finished(self, step):
        if step == self.trainer.step and (step % self.every == 0 or step == self.trainer.steps):
            self.show(step)

    def run_finished(self):
        self.file.close()

    def show(self, step):
        weights, gradients = self.trainer.weights, next_gradients(self.trainer)
        numbers, shown = {}, {}
        for name, (matrix, row, column) in self.places.items():
            for kind, matrices in (("data", weights), ("grad", gradients)):
                number = matrices[matrix].tolist()[row][column]
                numbers[f"{name}/{kind}"] = shown[f"watch/{matrix}.{row}.{column}/{kind}"] = number
        finite = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        self.file.write(json.dumps({"step": step} | finite) + "\n")
        self.file.flush()
        self.trainer.watch("measured", step=step, numbers=shown)
        if not self.run.in_sweep:
            self.print_lines(step, numbers)

    def print_lines(self, step, numbers):
        width = max(map(len, self.names))
        at = f"step {step:>{len(str(self.trainer.steps))}}"
        for name in self.names:
            data, grad = numbers[f"{name}/data"], numbers[f"{name}/grad"]
            with silent_if_closed():  # not a console of its own, which would draw over the progress bar
                print(f"{at}  {name:<{width}}  {data:+.6f}  gradient {grad:+.2e}", flush=True)


@hookimpl
def callbacks():
    return [Watch]
