"""Promise: the lab skips a broken plugin with a warning, or stops with a one-line error that names it."""
# ruff: noqa: E501  tables

import json
import os

import pytest

SHORT = (
    "steps=3",
    "train_docs=200",
    "embed=8",
    "eval_docs=3",
    "samples=1",
    "eval_every=2",
    "hydra.run.dir=run",
)
HEAD = "from microgpt_lab import hookimpl\n"

SKIPPED = {
    "raises at import": ("1 / 0", "ZeroDivisionError"),
    "does not parse": ("def broken(:", "SyntaxError"),
    "exits at import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "needs what is not there": ("import no_such_module", "unavailable: pip install no_such_module"),
    "raises at collection": ("@hookimpl\ndef activations(): raise RuntimeError('late')", "RuntimeError: late"),
    "returns no list": ("@hookimpl\ndef activations(): return len", "must return a list of functions or classes"),
    "returns no functions": ("@hookimpl\ndef activations(): return [1]", "must return a list of functions"),
    "unknown hook": ("@hookimpl\ndef activation(): return []", "unknown hook 'activation'"),
    "hook with other arguments": ("@hookimpl\ndef step_finished(steps): pass", "'steps'"),
    "hook with defaults": ("@hookimpl\ndef step_finished(step=1): pass", "must not have arguments with defaults: step"),
    "option without a type": (
        "def f(x, *, k=1): return x\n@hookimpl\ndef activations(): return [f]", "needs a type and a default",
    ),
    "option of another type": (
        "def f(x, *, k: list = ()): return x\n@hookimpl\ndef activations(): return [f]", "must be bool, int, float",
    ),
    "default of another type": (
        "def f(x, *, k: int = 'a'): return x\n@hookimpl\ndef activations(): return [f]", "has another type",
    ),
    "option called name": (
        "def f(x, *, name: str = 'a'): return x\n@hookimpl\ndef activations(): return [f]", "name",
    ),
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path):
    def write(text):
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts" / "mine.py").write_text(HEAD + text)
        return {"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}

    return write


def test_broken_plugins_are_skipped_with_their_names_and_harm_no_other(lab, tmp_path):
    """One run has all of them, because each is a file and a warning of its own."""
    (tmp_path / "parts").mkdir()
    for what, (text, _) in SKIPPED.items():
        (tmp_path / "parts" / f"{what}.py").write_text(HEAD + text)
    sound = "def sound(x): return x\n@hookimpl\ndef activations(): return [sound]"
    (tmp_path / "parts" / "sound.py").write_text(HEAD + sound)
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}
    done = lab(*SHORT, "activation=sound", env=env, check=0)
    assert len(done.stderr.splitlines()) == len(SKIPPED)
    for line, what in zip(done.stderr.splitlines(), sorted(SKIPPED)):
        assert line.startswith(f"warning: plugin microgpt_lab_user1.{what} is skipped: "), line
        assert SKIPPED[what][1] in line
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "ok"


PARTS = {
    "activation raises": ("activation", "def mine(x): raise RuntimeError('no')", "RuntimeError: no"),
    "activation takes nothing": ("activation", "def mine(): return 1", "takes 0 positional arguments but 1 was given"),
    "activation takes two": ("activation", "def mine(x, y): return x", "missing 1 required positional argument"),
    "activation returns None": ("activation", "def mine(x): pass", "it returned NoneType, not a tensor"),
    "activation returns a number": ("activation", "def mine(x): return 1.0", "it returned float, not a tensor"),
    "activation changes the shape": ("activation", "def mine(x): return x[:1]", "it changed the shape from (2, 2) to (2, 1)"),
    "activation asks what tensors have not": ("activation", "def mine(x): return x.cosine()", "cosine"),
    "norm without its weights": (
        "norm",
        "class Mine:\n def init(self, embed): return {'gain': [[1.0] * embed]}\n def __call__(self, x): return x",
        "unexpected keyword argument 'gain'",
    ),
    "optimizer without update": ("optimizer", "class Mine:\n lr = 1.0", "has no 'init'"),
    "optimizer without lr": (
        "optimizer", "class Mine:\n def init(self, w): pass\n def update(self, *a): return 1", "has no 'lr'",
    ),
    "optimizer returns the weights alone": (
        "optimizer", "class Mine:\n lr = 1.0\n def init(self, w): pass\n def update(self, g, s, w, lr, step): return w",
        "cannot run",
    ),
    "scheduler returns None": ("scheduler", "def mine(step, steps): pass", "scheduler=mine at step 0"),
    "scheduler returns a word": ("scheduler", "def mine(step, steps): return 'half'", "scheduler=mine at step 0"),
    "scheduler divides by zero": ("scheduler", "def mine(step, steps): return 1 / step", "division by zero"),
    "data set raises": ("dataset", "def mine(): raise RuntimeError('offline')", "RuntimeError: offline"),
    "data set returns a generator": ("dataset", "def mine(): return (c for c in 'ab')", "must return a list of strings"),
    "data set returns numbers": ("dataset", "def mine(): return [1, 2]", "must return a list of strings"),
    "data set exits": ("dataset", "def mine(): raise SystemExit(0)", "SystemExit"),
    "backend is none": ("backend", "class Mine: pass", "is not a subclass of microgpt_lab.Backend"),
    "raises when it is built": (
        "optimizer", "class Mine:\n def __init__(self): raise RuntimeError('built')", "cannot be built: RuntimeError",
    ),
    "needs something when it is built": (
        "backend", "class Mine:\n def __init__(self): import no_such_module", "unavailable: pip install no_such_module",
    ),
}  # fmt: skip


def every_part_on_both_backends():
    """On numpy, what python refuses with the same words is slow."""
    for what, (kind, *_) in PARTS.items():
        yield what, "python"
        if kind in ("activation", "norm", "optimizer"):
            slow = what not in ("activation changes the shape", "optimizer returns the weights alone")
            yield pytest.param(what, "numpy", marks=[pytest.mark.slow] * slow)


@pytest.mark.thorough
@pytest.mark.parametrize(("what", "backend"), list(every_part_on_both_backends()))
def test_a_broken_part_stops_the_run_with_its_name(lab, tmp_path, plugin, what, backend):
    kind, text, message = PARTS[what]
    make = "Mine" if text.startswith("class") else "mine"
    env = plugin(f"{text}\n@hookimpl\ndef {kind}s(): return [{make}]")
    chosen = (f"{kind}=mine",) if kind == "backend" else (f"backend={backend}", f"{kind}=mine")
    done = lab(*SHORT, *chosen, env=env, check=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and f"{kind}=mine" in line and message in line
    assert not (tmp_path / "run").exists()


MOMENTS = {
    "run_started": "run, trainer", "step_finished": "step, metrics", "evaluated": "step, loss",
    "should_stop": "step", "checkpoint_saved": "path", "run_finished": "summary",
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", ["raise RuntimeError('no')", "raise SystemExit(1)"])
def test_callbacks_that_raise_are_turned_off_and_the_run_is_the_same(lab, tmp_path, plugin, wrong):
    """One run has a callback that raises at each moment."""
    text = "".join(
        f"class {moment}:\n def {moment}(self, {arguments}): {wrong}\n"
        for moment, arguments in MOMENTS.items()
    )
    env = plugin(f"{text}@hookimpl\ndef callbacks(): return [{', '.join(MOMENTS)}]")
    callbacks = "callback=[jsonl,tensorboard,samples,checkpoint"
    done = lab(*SHORT, f"{callbacks},{','.join(MOMENTS)}]", env=env, check=0)
    assert len(done.stderr.splitlines()) == len(MOMENTS)
    for moment in MOMENTS:
        assert f"callback {moment} failed in {moment} and is disabled: " in done.stderr
    lab(*SHORT, f"{callbacks}]", "hydra.run.dir=other", env=env, check=0)
    assert losses(tmp_path / "run") == losses(tmp_path / "other") and len(losses(tmp_path / "run")) == 3


def losses(run):
    return [json.loads(row)["loss/train"] for row in (run / "metrics.jsonl").read_text().splitlines()]


def test_callbacks_with_unknown_arguments_are_turned_off(lab, plugin):
    env = plugin(
        "class Unknown:\n def step_finished(self, stp): pass\n"
        "class More:\n def step_finished(self, step, x, *y): pass\n"
        "@hookimpl\ndef callbacks(): return [Unknown, More]"
    )
    done = lab(*SHORT, "callback=[unknown,more]", env=env, check=0)
    for name in ("unknown", "more"):
        assert f"callback {name} failed in step_finished and is disabled: KeyError" in done.stderr


def test_a_callback_cannot_change_its_arguments(lab, tmp_path, plugin):
    env = plugin(
        "class Mine:\n def step_finished(self, metrics): metrics['loss/train'] = 0\n"
        "@hookimpl\ndef callbacks(): return [Mine]"
    )
    done = lab(*SHORT, "callback=[mine,jsonl]", env=env, check=0)
    assert "callback mine failed" in done.stderr
    assert '"loss/train": 0,' not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_output_of_a_plugin_goes_to_stderr(lab, plugin):
    env = plugin("print('hello')\n@hookimpl\ndef activations(): print('there'); return []")
    done = lab("plugins", env=env, check=0)
    assert "hello" not in done.stdout and done.stderr == "hello\nthere\n"


def test_a_plugin_that_is_slow_to_import_is_named(lab, plugin):
    env = plugin("import time; time.sleep(3.1)")
    assert "warning: plugin microgpt_lab_user1.mine took 3." in lab(*SHORT, env=env, check=0).stderr


@pytest.mark.thorough
def test_plugins_that_other_users_can_write_are_named_once(lab, tmp_path):
    folder = tmp_path / "parts"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "mine.py").write_text(f"{HEAD}@hookimpl\ndef run_started(): pass")
    env = {"MICROGPT_LAB_PLUGINS": str(folder)}
    few = ("steps=0", "eval_docs=1", "samples=0", "backend=numpy", "train_docs=10")
    assert "although" not in lab("plugins", env=env, check=0).stderr
    for path in (folder, folder / "inner", folder / "inner" / "mine.py"):
        mode = path.stat().st_mode
        path.chmod(0o777)
        done = lab("plugins", env=env, check=0)
        assert (
            done.stderr
            == f"warning: the plugins in {folder} are loaded although every user can write to {path}\n"
        )
        path.chmod(mode)
    folder.chmod(0o777)
    sweep = ("-m", "seed=0,1", "hydra/launcher=joblib", "hydra.sweep.dir=sweep")
    assert lab(*few, *sweep, env=env, check=0).stderr.count("although") == 1
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder / "inner" / "mine.py", 12345, -1)
        assert "mine.py belongs to another user" in lab("plugins", env=env, check=0).stderr
        assert "although" not in lab("plugins", env={"MICROGPT_LAB_PLUGINS": ""}, check=0).stderr
