import os
import time
from collections import deque
from random import Random

import yaml

from microgpt_lab import hookimpl, printable

WINDOW = 100  # steps
# TensorBoard shows tags in alphabetical order, and of a description the first.
DESCRIPTIONS = {
    "eval/loss": "loss/val again, under a name that comes first: in HPARAMS it is the first result.",
    "loss/train": "Loss of the batch of each step, in nats per token.",
    "loss/train_mean": f"Mean of loss/train over the last {WINDOW} steps (over all, before step {WINDOW}).",
    "loss/val": "Validation loss, in nats per token.",
    "optim/grad_norm": "Norm of the gradient over all weights, before it is clipped.",
    "optim/lr": "Learning rate of each step.",
    "perf/tokens_per_s": "Training tokens per second.",
}


class TensorBoard:
    """Writes what TensorBoard shows: scalars, samples and configuration as text, hyper-parameters.

    Every event is on disk as soon as it is written: a run that is stopped or killed has lost none.

    histograms: also those of weights and gradients, at each evaluation.
    """

    def __init__(self, *, histograms: bool = False):
        self.histograms = histograms
        self.losses = deque(maxlen=WINDOW)  # those of the last steps

    def run_started(self, run, trainer):
        from tensorboardX.event_file_writer import EventsWriter

        again = any(run.folder.glob("events.out.tfevents.*"))
        # Two files in one folder must not have one name, or the second would empty the first.
        suffix = f".{os.getpid()}.{os.urandom(4).hex()}"
        self.events = EventsWriter(str(run.folder / "events"), suffix)
        self.trainer, self.described = trainer, set()
        if again:
            self.go_on(trainer.step)
        if trainer.step:
            return
        swept = [override.partition("=")[0].lstrip("+") for override in run.overrides]
        flat = flattened(run.config)
        ordered = {
            key: flat[key] for key in sorted(flat, key=lambda key: key.removesuffix(".name") not in swept)
        }
        self.write_hparams({key.removesuffix(".name"): value for key, value in ordered.items()})
        # The order of the alphabet again: samples, then what was changed, then the rest.
        self.write_text("settings/changed", differing(run.differences), 0)
        for name, facts in (("configuration", run.config), ("environment", run.environment)):
            self.write_text(f"settings/{name}", f"```yaml\n{yaml.safe_dump(facts, sort_keys=False)}```", 0)

    def go_on(self, step):
        """A file more: what older ones have after this step is not shown."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import hparams

        *_, self.session_end = hparams({}, {})
        self.events.write_event(
            Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START))
        )
        self.events.flush()

    def step_finished(self, step, metrics):
        self.losses.append(metrics["loss/train"])
        shown = metrics | {"loss/train_mean": sum(self.losses) / len(self.losses)}
        if "loss/val" in metrics:
            shown["eval/loss"] = metrics["loss/val"]
        self.write_scalars(shown, step)

    def state_dict(self):
        return {"losses": list(self.losses)}

    def load_state_dict(self, state):
        self.losses.extend(state["losses"])

    def evaluated(self, step):
        self.write_text("samples", self.listed(self.trainer.sample(Random(0), samples=5)), step)
        if self.histograms:
            self.write_histograms("model/weights", self.trainer.weights, step)
            self.write_histograms("model/gradients", self.trainer.gradients(), step)

    def run_finished(self, summary):
        if summary.get("samples"):
            self.write_text("samples", self.listed(summary["samples"]), summary["steps"])
        self.write(self.session_end, None)
        self.events.close()

    def write(self, summary, step):
        from tensorboardX.proto.event_pb2 import Event

        self.events.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self.events.flush()

    def write_scalars(self, values, step):
        """All figures of a step in one event; each is described the first time."""
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import scalar

        told = Summary()
        for tag, value in values.items():
            description = DESCRIPTIONS.get(tag, "") if tag not in self.described else ""
            told.MergeFrom(scalar(tag, value, summary_description=description))
            self.described.add(tag)
        self.write(told, step)

    def listed(self, samples):
        return " · ".join(map(code, samples))

    def write_text(self, tag, content, step):
        from tensorboardX.summary import text

        self.write(text(tag, content), step)

    def write_hparams(self, values):
        """The start of a session now and its end later, without the experiment: TensorBoard makes that out
        of all runs in view.
        """
        from tensorboardX.summary import hparams

        _, start, self.session_end = hparams(values, {})
        self.write(start, None)

    def write_histograms(self, group, tensors, step):
        import numpy
        from tensorboardX.summary import histogram

        for name, tensor in tensors.items():
            values = numpy.array(tensor.tolist()).ravel()
            values = values[numpy.isfinite(values)]
            if values.size:
                self.write(histogram(f"{group}/{name}", values, bins=30), step)


def differing(differences):
    """What is not at its default, as one would write it on the command line."""
    return (
        ", ".join(
            f"{code(f'{key}={value}')} (default {code(default)})"
            for key, (value, default) in differences.items()
        )
        or "every key is at its default"
    )


def code(value):
    """In Markdown."""
    return f"`{printable(str(value)).replace('`', '')}`"


def flattened(config, prefix=""):
    """{'a': {'b': 1}} to {'a.b': 1}, of what HPARAMS can show."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{key}.") if key != "callback" else {}
        else:
            flat[prefix + key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return flat


@hookimpl
def callbacks():
    return [TensorBoard]
