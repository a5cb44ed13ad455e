import math
from collections import deque

from microgpt_lab import at_least, hookimpl, printable
from microgpt_lab.options.untrusted import dump

from .charts import CHARTS, about, image, layout, tagged
from .events import Events, own_files, remove_later, scalars
from .experts import DOCUMENTS, expert_loads

MAX_POINTS = 250  # of a tag, because a chart has too few pixels to tell more apart
WINDOW = 100  # steps
# TensorBoard shows tags in alphabetical order, and the first description that it reads of a tag.
DESCRIPTIONS = {
    "eval/loss": "The same as loss/val, under a name that makes it the first result in HPARAMS.",
    "eval/loss_bits_per_char": "Validation loss in bits per character, to compare different tokenizers.",
    "loss/balance": "The load-balancing loss of a mixture of experts: a term of loss/train.",
    "loss/ce": "Cross-entropy of the batch of each step, in nats per token: a term of loss/train.",
    "loss/penalty": "What the chosen loss adds to the cross-entropy: a term of loss/train.",
    "loss/train": "What training minimizes, on the batch of each step, in nats per token.",
    "loss/train_mean": f"Mean of loss/train over the last {WINDOW} steps (of all, before step {WINDOW}).",
    "loss/val": "Validation loss: always the cross-entropy alone, in nats per token.",
    "optim/grad_norm": "Norm of the gradient over all weights, before clipping.",
    "optim/lr": "Learning rate of each step.",
    "perf/tokens_per_s": "Training tokens per second.",
}
BITS, BITS_TAG = "bits_per_char/val", "eval/loss_bits_per_char"  # the tag comes after eval/loss
EXPERT = f"Share of tokens for which this expert is chosen, on up to {DOCUMENTS} held-out documents."


class TensorBoard:
    """Write scalars, samples, the configuration and hyperparameters for TensorBoard.

    Each event is one write, so that a run loses no events when it is stopped or killed.

    histograms: also write histograms of weights and gradients, at each evaluation.
    every: steps between two points of a curve (0: the smallest number that gives at most 250 points).
    """

    def __init__(self, *, histograms: bool = False, every: int = 0):
        at_least(0, every=every)
        # Not `self.every`, which would make the backend stop at each of its multiples.
        self.histograms, self.interval = histograms, every
        self.losses = deque(maxlen=WINDOW)  # losses of the last steps
        self.waiting = {}  # by tag: its newest step and value, if not written yet
        self.last = {}  # by tag of what other callbacks measure: the step of its last point
        self.has_charts = False

    def run_started(self, run, trainer):
        self.run, self.trainer, self.described = run, trainer, set()
        self.earlier = own_files(run.folder)
        if not trainer.step:  # the run starts from the beginning
            remove_later(self.earlier, "", 0)
        self.events, self.end = Events(run.folder), None
        if self.earlier:
            self.write_restart(trainer.step)
        if trainer.step:
            return
        swept = [override.partition("=")[0].lstrip("+") for override in run.overrides]
        flat = flatten(run.config)
        ordered = {
            key: flat[key] for key in sorted(flat, key=lambda key: key.removesuffix(".name") not in swept)
        }
        hparams = {key.removesuffix(".name"): value for key, value in ordered.items()}
        # Named so that they come after most keys: HPARAMS sorts by name, and shows the first five at once.
        sizes = {"parameters": trainer.parameters, "flops": run.flops_per_token}
        start, _ = session(hparams | {f"size.{name}": number for name, number in sizes.items()})
        self.events.write(summary=start)
        # Named so that the alphabetical order is: samples, changed keys, everything else.
        self.write_text("settings/changed", changed_keys(run.differences), 0)
        for name, content in (("configuration", run.config), ("environment", run.environment)):
            self.write_text(f"settings/{name}", f"```yaml\n{dump(content, ascii=True)}```", 0)
        self.write_text("settings/model", model_table(run, trainer), 0)

    def write_restart(self, step):
        """Make an open TensorBoard drop the later steps that it has already read."""
        from tensorboardX.proto.event_pb2 import SessionLog  # pyright: ignore[reportAttributeAccessIssue]

        start = SessionLog(status=SessionLog.START).SerializeToString()
        self.events.write(step + 1 if step else 0, session_log=start)

    def step_finished(self, step, metrics):
        self.losses.append(metrics["loss/train"])
        values = {**metrics, "loss/train_mean": sum(self.losses) / len(self.losses)}
        due = [*values] if self.is_point(step) else []
        if "loss/val" in values:
            evaluated = {"eval/loss": values["loss/val"]}
            if BITS in values:
                evaluated[BITS_TAG] = values.pop(BITS)
            evaluated["loss/val"] = values.pop("loss/val")
            due = [tag for tag in due if tag in values]
            due += evaluated if self.is_point(step, evaluation=True) else []
            values |= evaluated
        self.waiting |= {tag: (step, value) for tag, value in values.items()}
        self.write_scalars({tag: self.waiting.pop(tag) for tag in due})

    def is_point(self, step, evaluation=False):
        """Return whether curves show this step, or the evaluation after it.

        The points are evenly spaced. The last step of a run is always a point.
        """
        spacing = (self.trainer.eval_every or self.trainer.steps) if evaluation else 1  # in steps
        number, last = math.ceil(step / spacing), math.ceil(self.trainer.steps / spacing)
        interval = math.ceil(self.interval / spacing) or math.ceil(last / MAX_POINTS)
        return number % interval == 0 or number == last

    def is_due(self, tag, step):
        """Return whether it is time for a point of what another callback measures or draws, at any step."""
        apart = self.interval or self.trainer.steps / MAX_POINTS
        return step == self.trainer.steps or step - self.last.get(tag, -math.inf) >= apart

    def measured(self, step, numbers):
        values = {tag: number for tag, number in tagged(numbers).items() if self.is_due(tag, step)}
        if not self.has_charts and any(name.startswith(tuple(CHARTS.values())) for name in numbers):
            self.events.write(summary=layout())
            self.has_charts = True
        self.write_scalars({tag: (step, number) for tag, number in values.items()})
        self.last |= dict.fromkeys(values, step)

    def pictured(self, step, images):
        for tag in [tag for tag in images if self.is_due(tag, step)]:
            self.events.write(step, summary=image(tag, images[tag]))
            self.last[tag] = step

    def state_dict(self):
        size = self.events.size if self.end is None else self.end
        position = {"file": self.events.path.name, "size": size}
        state = {"losses": list(self.losses), "waiting": self.waiting}
        return position | state | {"last": self.last, "has_charts": self.has_charts}

    def load_state_dict(self, state):
        self.losses.extend(state["losses"])
        self.waiting = state["waiting"]
        self.last, self.has_charts = state.get("last", {}), state.get("has_charts", False)
        remove_later(self.earlier, state["file"], state["size"])

    def evaluated(self, step):
        if not self.is_point(step, evaluation=True):
            return
        if step < self.trainer.steps or not self.run.config["samples"]:  # else run_finished writes samples
            self.write_text("samples", sample_list(self.trainer.preview(5)), step)
        self.write_scalars({tag: (step, share) for tag, share in expert_loads(self.trainer).items()})
        if self.histograms:
            self.write_histograms("model/weights", self.trainer.weights, step)
            self.write_histograms("model/gradients", self.trainer.gradients(), step)

    def run_finished(self, summary):
        self.end = self.events.size  # where a resumed run continues, instead of after the events below
        if summary["status"] in ("ok", "diverged"):  # after its last step
            self.write_scalars(self.waiting)
            if BITS in summary and not self.trainer.corpus.scores_all_of(self.trainer.held_out):
                self.write_scalars({BITS_TAG: (summary["steps"], summary[BITS])})  # no step has it
        if summary.get("samples"):
            self.write_text("samples", sample_list(summary["samples"]), summary["steps"])
        _, end = session({})
        self.events.write(summary=end)
        self.events.close()

    def write_scalars(self, points):
        """Write (step, value) pairs by tag, one event per step. A tag is described at its first point."""
        for step in sorted({step for step, _ in points.values()}):
            values = {tag: value for tag, (at, value) in points.items() if at == step}
            new = [tag for tag in values if tag not in self.described]
            summary = b"".join(described_scalar(tag, values.pop(tag)) for tag in new)
            self.events.write(step, summary=summary + scalars(values))
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
                summary = histogram(f"{group}/{name}", values, bins=30)
                self.events.write(step, summary=summary.SerializeToString())


def described_scalar(tag, value):
    """Serialize a scalar with its description."""
    from tensorboardX.summary import scalar

    text = EXPERT if tag.startswith("moe/") else DESCRIPTIONS.get(tag) or about(tag)
    return scalar(tag, value, summary_description=text).SerializeToString()


def session(hparams):
    """The start and the end of a session for HPARAMS.

    The experiment is left out, because TensorBoard infers it from all runs that it shows.
    """
    import tensorboardX.summary

    _, *start_and_end = tensorboardX.summary.hparams(hparams, {})
    return [summary.SerializeToString() for summary in start_and_end]


def sample_list(samples):
    """The samples as Markdown: text as blocks of code, short documents on one line."""
    if any("\n" in sample for sample in samples):
        return "\n\n---\n\n".join(map(block, samples))
    return " · ".join(map(code, samples))


def block(text):
    """Text as a block of code, which Markdown recognizes by its indentation."""
    return "\n".join(f"    {printable(line)}" for line in text.split("\n"))


def changed_keys(differences):
    """The keys that are not at their defaults, as overrides on the command line."""
    return (
        ", ".join(
            f"{code(f'{key}={value}')} (default {code(default)})"
            for key, (value, default) in differences.items()
        )
        or "every key is at its default"
    )


def model_table(run, trainer):
    """The size of the model as a Markdown table, and what training minimizes."""
    kinds = (f"| {kind} | {number:,} |" for kind, number in trainer.parameters_by_kind.items())
    lines = [f"| parameters | {trainer.parameters:,} |", "|---|---:|", *kinds]
    if run.flops_per_token:
        lines.append(f"| FLOPs per token, forward and backward | {run.flops_per_token:,} |")
    return "\n".join([*lines, "", f"Training minimizes {trainer.minimized}."])


def code(value):
    """The value as Markdown code. Code cannot be empty, so that nothing is shown as ''."""
    text = printable(str(value)).replace("`", "")
    return f"`{text}`" if text else "`''`"


def flatten(config, prefix=""):
    """Flatten {'a': {'b': 1}} to {'a.b': 1}, with values that HPARAMS can show. Callbacks are left out."""
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
