import os
import time
from random import Random

import yaml

from microgpt_lab import hookimpl, printable


class TensorBoard:
    """Writes what TensorBoard shows: scalars, samples and configuration as text, hyper-parameters.

    Every event is on disk as soon as
    it is written, so that a run that is stopped or killed has lost nothing.

    histograms: also those of weights and gradients, at each evaluation.
    """

    def __init__(self, *, histograms: bool = False):
        self.histograms = histograms

    def run_started(self, run, trainer):
        from tensorboardX.event_file_writer import EventsWriter

        again = any(run.folder.glob("events.out.tfevents.*"))
        # Two files in one folder must not have one name, or the second would empty the first.
        suffix = f".{os.getpid()}.{os.urandom(4).hex()}"
        self.events = EventsWriter(str(run.folder / "events"), suffix)
        self.trainer = trainer
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
        self.write_text("configuration", f"```yaml\n{yaml.safe_dump(run.config, sort_keys=False)}```", 0)
        self.write_text("environment", f"```yaml\n{yaml.safe_dump(run.environment, sort_keys=False)}```", 0)

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
        from tensorboardX.summary import scalar

        for name, value in metrics.items():
            self.write(scalar(name, value), step)

    def evaluated(self, step):
        self.write_text("samples", self.listed(self.trainer.sample(Random(0), samples=5)), step)
        if self.histograms:
            self.write_histograms("weights", self.trainer.weights, step)
            self.write_histograms("gradients", self.trainer.gradients(), step)

    def run_finished(self, summary):
        if summary.get("samples"):
            self.write_text("samples", self.listed(summary["samples"]), summary["steps"])
        self.write(self.session_end, None)
        self.events.close()

    def write(self, summary, step):
        from tensorboardX.proto.event_pb2 import Event

        self.events.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self.events.flush()

    def listed(self, samples):
        return "  \n".join(map(printable, samples))

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
