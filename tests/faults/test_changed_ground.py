"""Promise: a run with changed inputs does not resume, unless `--force` is given."""

import hashlib
import json
import shutil

import pytest
import yaml

from microgpt_lab.run import checkpoint

OPTIONS = ("steps=12", "embed=8", "eval_docs=3", "samples=1", "eval_every=6", "callback.checkpoint.every=5")
OPTIONS += ("train_docs=100",)
OPTIONS += ("backend=numpy", "hydra.run.dir=run")
PART = '''
from microgpt_lab import hookimpl

def mine(x, *, slope: float = 0.5):
    """Mine."""
    return x * slope

@hookimpl
def activations():
    return [mine]
'''


@pytest.fixture(scope="module")
def trained(lab_in, tmp_path_factory):
    """Folder of a run with its own data and activation, as if killed after step 10."""
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "data.txt").write_text("anna\nhannah\notto\nbob\neve\nada\n" * 4)
    (folder / "parts").mkdir()
    (folder / "parts" / "mine.py").write_text(PART)
    env = {"MICROGPT_LAB_PLUGINS": str(folder / "parts")}
    mine = ("activation=mine", "dataset=text", "dataset.path=data.txt")
    lab_in(folder, *OPTIONS, *mine, env=env, check=0)
    run = folder / "run"
    (run / checkpoint.PREVIOUS).replace(run / checkpoint.CURRENT)
    (run / "summary.json").unlink()
    return folder


@pytest.fixture
def stopped(trained, lab, tmp_path):
    """A copy of this run, and a function that resumes it."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}
    run = tmp_path / "run"

    def resume(*arguments, check=None):
        before = {path: path.read_bytes() for path in run.iterdir()}
        done = lab("resume", "run", *arguments, env=env, check=check)
        if check == 2:
            assert len(done.stderr.splitlines()) == 1
            assert before == {path: path.read_bytes() for path in run.iterdir()}
        return done

    return run, resume


def replace_text(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


CHANGES = {
    "configuration": ("run/config.yaml", "lr: 0.01", "lr: 0.02", "optimizer.lr was 0.01, is 0.02"),
    "data": ("data.txt", "otto", "otta", "documents_sha256 was"),
    "part": ("parts/mine.py", "x * slope", "x * slope * 1", "parts.activation.sha256 was"),
    "version": ("run/environment.json", '"numpy": "', '"numpy": "0.', "packages.numpy was 0."),
    "python": ("run/environment.json", '"python": "', '"python": "2', "python was 2"),
    "lab": ("run/environment.json", '"core": "', '"core": "x', "core was x"),
    "backend": ("run/config.yaml", "numpy\n  precision: float64", "python", "backend was numpy, is python"),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_input_is_refused_and_shown(stopped, tmp_path, what):
    run, resume = stopped
    file, old, new, message = CHANGES[what]
    replace_text(tmp_path / file, old, new)
    done = resume(check=2)
    assert done.stderr.startswith("error: run would not continue as it started: ") and message in done.stderr
    resume("--force", check=0)
    assert json.loads((run / "summary.json").read_text())["steps"] == 12


def test_overrides_are_changes_too(stopped):
    run, resume = stopped
    assert "seed was 42, is 1" in resume("seed=1", check=2).stderr
    assert "did you mean 'steps'" in resume("step=20", check=2).stderr
    assert "do not fit" in resume("embed=16", "--force", check=2).stderr
    resume("steps=20", check=0)
    assert checkpoint.read(run, pytest.fail).facts["step"] == 20
    assert "steps: 20" in (run / "config.yaml").read_text()


def test_another_vocabulary_of_the_same_size_is_refused_even_with_force(stopped, tmp_path):
    _, resume = stopped
    replace_text(tmp_path / "data.txt", "eve", "ewe")
    assert "a different vocabulary" in resume("--force", check=2).stderr


def test_force_accepts_another_optimizer_but_no_earlier_step(stopped):
    run, resume = stopped
    assert "is at step 10, beyond steps=4" in resume("steps=4", "--force", check=2).stderr
    assert "no meaning" in resume("hydra.run.dir=x", "--force", check=2).stderr
    resume("optimizer=muon", "--force", check=0)
    assert json.loads((run / "summary.json").read_text())["steps"] == 12


def test_without_a_checkpoint_changes_are_refused_too(stopped):
    run, resume = stopped
    (run / checkpoint.CURRENT).unlink()
    assert "seed was 42, is 1" in resume("seed=1", check=2).stderr


def test_a_damaged_checkpoint_does_not_replace_the_previous_one(stopped):
    run, resume = stopped
    good = (run / checkpoint.CURRENT).read_bytes()
    (run / checkpoint.CURRENT).replace(run / checkpoint.PREVIOUS)
    (run / checkpoint.CURRENT).write_bytes(good[:-1])
    assert "the previous checkpoint is used, of step 10" in resume(check=0).stderr
    assert (run / checkpoint.PREVIOUS).read_bytes() == good  # the newer one is of step 12


INVALID_CONFIGURATIONS = [
    {"steps": "many"},
    {"samples": None},
    {"seed": [1]},
    {"callback": None},
    {"callback": ["console"]},
    {"dataset": "text"},
    {"norm": {"name": ["x"]}},
    {"optimizer": {"lr": 1.0}},
    {"optimizer": {"name": "adam", "lr": "x"}},
]


def test_invalid_configurations_are_an_error(stopped):
    run, resume = stopped
    config = yaml.safe_load((run / "config.yaml").read_text())
    for wrong in INVALID_CONFIGURATIONS:
        (run / "config.yaml").write_text(yaml.safe_dump(config | wrong))
        assert resume("--force", check=2).stderr.startswith("error: run/config.yaml: "), wrong


INVALID_FACTS = [
    {"step": None},
    {"step": "x"},
    {"config": {"optimizer": "x"}},
    {"callbacks": [1]},
    {"resumed": 1},
    {"seconds": "x"},
    {"rng": [3, [1], None]},
    {"tokenizer": None},
    {"tensors": {"weights": {"a": "99999999999x99999999"}, "optimizer": {}}},
]


@pytest.mark.thorough
def test_invalid_facts_in_a_checkpoint_are_an_error(stopped):
    run, resume = stopped
    facts, numbers = checkpoint.decode((run / checkpoint.CURRENT).read_bytes())
    for wrong in INVALID_FACTS:
        body = json.dumps(facts | wrong).encode() + b"\n" + numbers.tobytes()
        checksum = hashlib.sha256(body).hexdigest().encode()
        content = b"microgpt_lab checkpoint 1 %s %d\n" % (checksum, len(body)) + body
        (run / checkpoint.CURRENT).write_bytes(content)
        if wrong == {"config": {"optimizer": "x"}}:
            assert "optimizer was x, is adam" in resume(check=2).stderr
        else:
            resume("--force", check=2)


def test_an_unchanged_run_resumes_from_its_checkpoint(stopped):
    run, resume = stopped
    resume(check=0)
    assert json.loads((run / "summary.json").read_text())["resumed"] == [10]
    assert "has ended" in resume(check=0).stdout
