"""Promise: TensorBoard shows the same points of a run, whether or not it was killed or stopped."""

import multiprocessing
import os
import signal

import pytest
from board import points

from microgpt_lab.commands import main
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run import checkpoint

# The warning is JAX's, if an earlier test has loaded it. The children do not use it.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork")

# Every third step has an evaluation. The losses of steps 7, 14, … and every third evaluation are points: most
# steps are none.
RUN = ("steps=59", "eval_every=3", "callback.tensorboard.every=7", "backend=numpy", "embed=4", "heads=1")
RUN += ("block_size=4", "train_docs=50", "eval_docs=2", "samples=2")
WHOLE = (*RUN, "callback=[tensorboard,checkpoint]", "callback.checkpoint.every=5")
# Stops at step 15, which is the fifth evaluation.
EARLY = (*RUN, "callback=[tensorboard,checkpoint,early_stopping]", "callback.checkpoint.every=5")
EARLY += ("callback.early_stopping.patience=4", "callback.early_stopping.min_delta=1")
# Diverges at step 4.
DIVERGES = (*RUN, "callback=[tensorboard,checkpoint]", "callback.checkpoint.every=3")
DIVERGES += ("optimizer=sgd", "optimizer.lr=1e8", "scheduler=constant")


class SignalAt:
    """Sends the process a signal at an event of a step, after callbacks with a lower order."""

    def __init__(self, event, step, number, order=0):
        self.event, self.step, self.number, self.order = event, step, number, order

    def step_finished(self, step):
        self.reached("step_finished", step)

    def should_stop(self, step):
        self.reached("should_stop", step)

    def checkpoint_saved(self, step):
        self.reached("checkpoint_saved", step)

    def run_finished(self, summary):
        self.reached("run_finished", summary["steps"])

    def reached(self, event, step):
        if (event, step) == (self.event, self.step):
            os.kill(os.getpid(), self.number)


def run_command(arguments, at=None):
    """Run a command in a process of its own, and return its exit status."""

    def child():
        registry().plugins.extend([at] if at else [])
        os._exit(main(list(arguments)))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    return process.exitcode


def steps(run, tag):
    return [step for step, _ in points(run)[tag]]


@pytest.fixture(scope="module")
def undisturbed_runs(tmp_path_factory):
    """One uninterrupted run of each kind."""
    registry()
    folder = tmp_path_factory.mktemp("wholes")
    for name, arguments, status in (("whole", WHOLE, 0), ("early", EARLY, 0), ("diverges", DIVERGES, 1)):
        assert run_command((*arguments, f"hydra.run.dir={folder / name}")) == status
    return folder


@pytest.mark.thorough
def test_the_last_step_of_a_run_is_a_point_however_it_ends(undisturbed_runs):
    assert steps(undisturbed_runs / "whole", "loss/train") == [7, 14, 21, 28, 35, 42, 49, 56, 59]
    assert steps(undisturbed_runs / "whole", "loss/val") == [9, 18, 27, 36, 45, 54, 59]
    assert steps(undisturbed_runs / "whole", "samples/text_summary") == [9, 18, 27, 36, 45, 54, 59]
    assert steps(undisturbed_runs / "early", "loss/train_mean") == [7, 14, 15]
    assert steps(undisturbed_runs / "early", "eval/loss") == [9, 15]
    last = checkpoint.read(undisturbed_runs / "diverges", pytest.fail).facts["step"]
    assert steps(undisturbed_runs / "diverges", "loss/train") == [3] and last == 3
    assert steps(undisturbed_runs / "diverges", "loss/val") == [3]


KILL, STOP = getattr(signal, "SIGKILL", signal.SIGTERM), signal.SIGINT  # Windows has no SIGKILL
INTERRUPTIONS = {
    "killed before its first checkpoint": ("whole", SignalAt("step_finished", 4, KILL)),
    "killed beyond a point that no checkpoint has": ("whole", SignalAt("step_finished", 23, KILL)),
    "killed at its last step": ("whole", SignalAt("should_stop", 59, KILL)),
    "killed when its last events are written": ("whole", SignalAt("run_finished", 59, KILL, order=0.5)),
    "killed before its summary": ("whole", SignalAt("run_finished", 59, KILL, order=3)),
    "stopped at a step that is no point": ("whole", SignalAt("step_finished", 23, STOP)),
    "stopped at its last step": ("whole", SignalAt("step_finished", 59, STOP)),
    "out of patience, killed when that was saved": ("early", SignalAt("checkpoint_saved", 15, KILL, order=3)),
    "out of patience, killed when its last events are written": (
        "early", SignalAt("run_finished", 15, KILL, order=0.5),
    ),
    "out of patience, killed before its summary": ("early", SignalAt("run_finished", 15, KILL, order=3)),
    "out of patience, and stopped at the same step": ("early", SignalAt("step_finished", 15, STOP)),
    "diverging again": ("diverges", SignalAt("run_finished", 3, KILL, order=0.5)),
}  # fmt: skip


# Each kind of run is killed, and stopped, in the middle and at its end.
OFTEN = (
    "killed before its first checkpoint",
    "killed beyond a point that no checkpoint has",
    "killed when its last events are written",
    "stopped at a step that is no point",
    "out of patience, killed when that was saved",
    "out of patience, and stopped at the same step",
    "diverging again",
)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "interruption",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in OFTEN)) for name in INTERRUPTIONS],
)
def test_a_resumed_run_has_the_points_of_an_uninterrupted_one(undisturbed_runs, tmp_path, interruption):
    kind, at = INTERRUPTIONS[interruption]
    arguments = {"whole": WHOLE, "early": EARLY, "diverges": DIVERGES}[kind]
    run = tmp_path / "run"
    assert run_command((*arguments, f"hydra.run.dir={run}"), at) == (130 if at.number == STOP else -KILL)
    before = points(run)
    whole = points(undisturbed_runs / kind)
    if at.number == KILL and at.event == "step_finished":  # every point that was due exists
        due = {tag: [point for point in found if point[0] <= at.step] for tag, found in whole.items()}
        assert before == {tag: found for tag, found in due.items() if found}
    assert all(set(map(str, found)) <= set(map(str, whole[tag])) for tag, found in before.items())
    assert run_command(("resume", str(run))) == (1 if kind == "diverges" else 0)
    assert points(run) == whole
