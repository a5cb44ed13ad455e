import math
from collections import deque

from microgpt_lab import at_least, hookimpl, printable
from microgpt_lab.options.untrusted import dump

from .events import Events, scalars, take_back, written

MOST = 250  # points of a tag: more than a chart has pixels to tell apart
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

    An event is written in one go, so that a run that is stopped or killed has lost none.

    histograms: also those of weights and gradients, at each evaluation.
    every: steps between two points of a curve (0: as many as give at most 250 points).
    """

    def __init__(self, *, histograms: bool = False, every: int = 0):
        at_least(0, every=every)
        # An attribute `every` would ask the backend to stop at each of its multiples.
        self.histograms, self.gap = histograms, every
        self.losses = deque(maxlen=WINDOW)  # those of the last steps
        self.waiting = {}  # by tag, its newest figure that is no point: the last of a run is one

    def run_started(self, run, trainer):
        self.run, self.trainer, self.described = run, trainer, set()
        self.earlier = written(run.folder)
        if not trainer.step:  # the run begins anew
            take_back(self.earlier, "", 0)
        self.events, self.end = Events(run.folder), None
        if self.earlier:
            self.go_on(trainer.step)
        if trainer.step:
            return
        swept = [override.partition("=")[0].lstrip("+") for override in run.overrides]
        flat = flatten(run.config)
        ordered = {
            key: flat[key] for key in sorted(flat, key=lambda key: key.removesuffix(".name") not in swept)
        }
        start, _ = session({key.removesuffix(".name"): value for key, value in ordered.items()})
        self.events.write(summary=start)
        # The order of the alphabet again: samples, then what was changed, then the rest.
        self.write_text("settings/changed", differing(run.differences), 0)
        for name, facts in (("configuration", run.config), ("environment", run.environment)):
            self.write_text(f"settings/{name}", f"```yaml\n{dump(facts, ascii=True)}```", 0)

    def go_on(self, step):
        """Have a TensorBoard that is open drop what it knows of later steps."""
        from tensorboardX.proto.event_pb2 import SessionLog

        start = SessionLog(status=SessionLog.START).SerializeToString()
        self.events.write(step + 1 if step else 0, session_log=start)

    def step_finished(self, step, metrics):
        self.losses.append(metrics["loss/train"])
        figures = {**metrics, "loss/train_mean": sum(self.losses) / len(self.losses)}
        due = [*figures] if self.is_point(step) else []
        if "loss/val" in figures:
            figures["eval/loss"] = figures["loss/val"]
            due = [tag for tag in due if tag != "loss/val"]
            due += ["eval/loss", "loss/val"] if self.is_point(step, evaluation=True) else []
        self.waiting |= {tag: (step, figure) for tag, figure in figures.items()}
        self.write_scalars({tag: self.waiting.pop(tag) for tag in due})

    def is_point(self, step, evaluation=False):
        """Whether a step, or the evaluation after it, is one of those that curves show.

        They are evenly spaced, and the last of a run is one.
        """
        apart = (self.trainer.eval_every or self.trainer.steps) if evaluation else 1  # steps
        number, last = math.ceil(step / apart), math.ceil(self.trainer.steps / apart)
        gap = math.ceil(self.gap / apart) or math.ceil(last / MOST)
        return number % gap == 0 or number == last

    def state_dict(self):
        size = self.events.size if self.end is None else self.end
        here = {"file": self.events.path.name, "size": size}
        return here | {"losses": list(self.losses), "waiting": self.waiting}

    def load_state_dict(self, state):
        self.losses.extend(state["losses"])
        self.waiting = state["waiting"]
        take_back(self.earlier, state["file"], state["size"])

    def evaluated(self, step):
        if not self.is_point(step, evaluation=True):
            return
        if step < self.trainer.steps or not self.run.config["samples"]:  # else those of the end are shown
            self.write_text("samples", listed(self.trainer.preview(5)), step)
        if self.histograms:
            self.write_histograms("model/weights", self.trainer.weights, step)
            self.write_histograms("model/gradients", self.trainer.gradients(), step)

    def run_finished(self, summary):
        self.end = self.events.size  # a run that goes on comes to another end
        if summary["status"] in ("ok", "diverged"):  # it has made its last step
            self.write_scalars(self.waiting)
        if summary.get("samples"):
            self.write_text("samples", listed(summary["samples"]), summary["steps"])
        _, end = session({})
        self.events.write(summary=end)
        self.events.close()

    def write_scalars(self, points):
        """Write (step, figure) by tag: those of a step in one event, each described the first time."""
        for step in sorted({step for step, _ in points.values()}):
            figures = {tag: figure for tag, (at, figure) in points.items() if at == step}
            new = [tag for tag in figures if tag not in self.described]
            told = b"".join(described(tag, figures.pop(tag)) for tag in new)
            self.events.write(step, summary=told + scalars(figures))
            self.described.update(new)

    def write_text(self, tag, content, step):
        from tensorboardX.summary import text

        self.events.write(step, summary=text(tag, content).SerializeToString())

    def write_histograms(self, group, tensors, step):
        import numpy
        from tensorboardX.summary import histogram

        for name, tensor in tensors.items():
            values = numpy.array(tensor.tolist()).ravel()
            values = values[numpy.isfinite(values)]
            if values.size:
                told = histogram(f"{group}/{name}", values, bins=30)
                self.events.write(step, summary=told.SerializeToString())


def described(tag, figure):
    """A scalar, with what it is."""
    from tensorboardX.summary import scalar

    told = scalar(tag, figure, summary_description=DESCRIPTIONS.get(tag, ""))
    return told.SerializeToString()


def session(hparams):
    """The start and the end of a session, without the experiment: TensorBoard makes that out of all runs
    in view.
    """
    import tensorboardX.summary

    _, *both = tensorboardX.summary.hparams(hparams, {})
    return [told.SerializeToString() for told in both]


def listed(samples):
    return " · ".join(map(code, samples))


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


def flatten(config, prefix=""):
    """{'a': {'b': 1}} to {'a.b': 1}, of what HPARAMS can show."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.") if key != "callback" else {}
        else:
            flat[prefix + key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return flat


@hookimpl
def callbacks():
    return [TensorBoard]
