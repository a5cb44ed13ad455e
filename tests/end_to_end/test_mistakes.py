"""What a user did wrong is one line, exit status 2, no traceback, and nothing on disk."""

import pytest

WRONG = {
    "activation=gleu": "did you mean 'gelu'",
    "layres=2": "did you mean 'layers'",
    "layers=two": "layers: Value 'two'",
    "steps=???": "must be set: steps",
    "steps=-5": "steps must be at least 0, not -5",
    "hydra/launcher=jolib": "did you mean 'joblib'",
    "heads=3": "embed=16 must be divisible by heads=3",
    "split=zero2her": "did you mean 'zero2hero'",
    "activation.slop=1": "no option",
    "+activation.zzz=1": "no option 'zzz'",
    "activation.name=gelu": "activation=NAME",
    "optimizer=null": "optimizer must be one of: adagrad, adam",
    "optimizer.lr=abc": "optimizer.lr: Value 'abc'",
    "dropout=1.5": "dropout must be",
    "temperature=-1": "temperature must be at least 0",
    "dataset=text": "dataset.path=FILE",
    "dataset=karpathy_names dataset.path=/no/file": "cannot read /no/file",
    "callback=[console,jsnol]": "did you mean 'jsonl'",
    "callback.console.secnds=1": "callback.console.secnds",
    "experiment=microgtp": "did you mean 'microgpt'",
    "+foo=1": "'foo' is unknown",
    "gelu": "key=value",
    "samlpe": "did you mean 'sample'",
    "activation=GELU": "did you mean 'gelu'",
    "activation=relu,gelu": "several values make a sweep, with -m",
    "optimizer.momentum=0.9": "an option of optimizer=muon or sgd",
    "activation.slope=0.1": "an option of activation=leaky_relu",
    "~layers": "'layers' must not be taken away",
    "~callback": "Could not delete 'callback'",
    "callback.console=null": "callback must be chosen",
    "temperature=nan": "temperature must be at least 0, not nan",
    "init_std=inf": "init_std must be",
    "optimizer.lr=-1": "optimizer.lr must be at least 0",
    "optimizer.beta1=1": "beta1 and beta2 must be from 0 to below 1",
    "scheduler.warmup=100": "a fraction of the steps",
    "scheduler=step scheduler.every=0": "scheduler=step at step",
    "scheduler=exponential scheduler.final=-1": "scheduler=exponential at step",
    "dataset=reverse dataset.letters=": "dataset=reverse: ",
    "dataset=text dataset.path=a(1).txt": "quote the value",
    "hydra.run.dir=/dev/null/run": "/dev/null/run",
    "plugins optimiser": "did you mean 'optimizer'",
    "sample": "required: RUN",
    "sample x --top-k abc": "invalid int value",
    "optimizer=sgd optimizer.nesterov=true": "nesterov=true needs a momentum",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_a_user_did_wrong_is_one_line(lab, tmp_path, command):
    done = lab(*command.split(), check=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and WRONG[command] in line
    assert not done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_takes_only_its_own_folders_away(lab, tmp_path):
    (tmp_path / "outer" / "mine").mkdir(parents=True)
    lab("heads=3", "hydra.run.dir=outer/mine", check=2)
    lab("heads=3", "hydra.run.dir=.", check=2)
    lab("heads=3", "hydra.run.dir=outer/a/b", check=2)
    assert [path.name for path in tmp_path.rglob("*")] == ["outer", "mine"]


def test_a_recipe_without_its_first_line_is_refused(lab, tmp_path):
    recipe = tmp_path / "home" / "experiments" / "short" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("steps: 3\n")
    assert "# @package _global_" in lab("experiment=short", check=2).stderr


def test_an_empty_data_set(lab, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    assert "no documents" in lab("dataset=text", "dataset.path=empty.txt", check=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]
