"""A sweep and a recipe on disk, and ways to change them as if another person had created them."""

import contextlib
import copy
import hashlib
import json
import math
import os
import shutil
from array import array

import pytest
import yaml

from microgpt_lab import load_sweep
from microgpt_lab.options.compose import compose
from microgpt_lab.run import checkpoint
from microgpt_lab.run.execute import execute
from microgpt_lab.sweeps.folder import JobEntry
from microgpt_lab.sweeps.job import Job
from microgpt_lab.sweeps.table import curve

SHORT = ["steps=4", "train_docs=200", "embed=8", "eval_docs=3", "eval_every=2", "samples=2", "backend=numpy"]
SHORT += ["~callback.console", "~callback.tensorboard", "callback.checkpoint.best=true"]
RECIPE = """# @package _global_
# Which?
defaults:
  - override /activation: gelu
steps: 3
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      seed: 0,1
"""
EXPECTED = {
    "metric": "loss/val",
    "value": 2.0,
    "seconds": 9.5,
    "check": {"overrides": ["steps=1"], "figures": {"loss/val": 2.5}, "steps": {"1": 3.3}, "tolerance": 1e-6},
}


@pytest.fixture(scope="module", name="sweep")
def sweep_on_disk(tmp_path_factory):
    """Three finished jobs of a sweep on disk, and a recipe in the lab folder. Returns the sweep's folder."""
    folder = tmp_path_factory.mktemp("lab") / "sweep"
    for seed in range(3):
        overrides = [*SHORT, f"seed={seed}"]
        config = compose(overrides)
        run = Job(config, folder / f"seed={seed}", overrides, entry=JobEntry(folder, config))
        execute(run)
        (run.folder / checkpoint.PREVIOUS).unlink(missing_ok=True)  # it would replace a damaged checkpoint
    recipe = folder.parent / "home" / "experiments" / "theirs"
    recipe.mkdir(parents=True)
    (recipe / "recipe.yaml").write_text(RECIPE)
    (recipe / "expected.json").write_text(json.dumps(EXPECTED))
    before = os.environ.get("MICROGPT_LAB_HOME")
    os.environ["MICROGPT_LAB_HOME"] = str(folder.parent / "home")
    yield folder
    os.environ.pop("MICROGPT_LAB_HOME") if before is None else os.environ.update(MICROGPT_LAB_HOME=before)


def files(sweep):
    """Files of one run, the entry of its job, and the files of the recipe, by name."""
    run, recipe = sweep / "seed=1", sweep.parent / "home" / "experiments" / "theirs"
    names = ("config.yaml", "overrides.yaml", "environment.json", "summary.json", "metrics.jsonl")
    found = [
        *(run / name for name in (*names, "samples.txt", checkpoint.CURRENT, checkpoint.BEST)),
        *recipe.iterdir(),
    ]
    entry = next(f for f in (sweep / ".jobs").iterdir() if f.suffix == "" and f.read_text() == run.name)
    return {file.name if file != entry else "entry": file for file in [*found, entry]}


@contextlib.contextmanager
def changed(file, content):
    """Replace a file by another content, or by whatever `content(file)` creates; then restore it.

    For config.yaml, summary.json loses its configuration, because config.yaml is not read beside one.
    """
    whole = file.read_bytes()
    with contextlib.ExitStack() as stack:
        if file.name == "config.yaml":
            summary = json.loads((file.parent / "summary.json").read_text())
            summary.pop("config", None)
            stack.enter_context(changed(file.parent / "summary.json", json.dumps(summary).encode()))
        file.unlink()
        try:
            content(file) if callable(content) else file.write_bytes(content)
            yield
        finally:
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink(missing_ok=True)
            file.write_bytes(whole)


def tree_of(file):
    """Content of a file as a tree of JSON types."""
    if file.name == "metrics.jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    if file.suffix == ".bin":
        facts, numbers = checkpoint.decode(file.read_bytes())
        return {**facts, "numbers": list(numbers[:3]), "rng": [facts["rng"][0], facts["rng"][1][:2], None]}
    return yaml.safe_load(file.read_text())  # JSON too


def content_of(file, tree):
    if file.name == "metrics.jsonl":
        lines = tree if isinstance(tree, list) else [tree]
        return "".join(json.dumps(line) + "\n" for line in lines).encode()
    if file.suffix == ".bin":
        return checkpoint_of(file, tree)
    if file.suffix == ".yaml":
        return yaml.safe_dump(tree).encode()
    return json.dumps(tree).encode()


def checkpoint_of(file, tree):
    """Encode a checkpoint. The tree contains only the first numbers of the generator and of the weights."""
    facts, numbers = checkpoint.decode(file.read_bytes())
    if isinstance(tree, dict):
        first = tree.pop("numbers", None)
        if isinstance(first, list) and all(isinstance(x, float) for x in first):
            numbers[: len(first)] = array("d", first)
        if tree.get("rng") == [facts["rng"][0], facts["rng"][1][:2], None]:
            tree["rng"] = facts["rng"]
    return encoded(tree, numbers)


def encoded(facts, numbers):
    """Encode a checkpoint with the right length and checksum."""
    body = json.dumps(facts).encode() + b"\n" + numbers.tobytes()
    return (
        b"microgpt_lab checkpoint 1 %s %d\n" % (hashlib.sha256(body).hexdigest().encode(), len(body)) + body
    )


def paths_in(tree, path=()):
    yield path
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, branch in branches:
        yield from paths_in(branch, (*path, key))


def modified(tree, path, how, value):
    """Copy a tree with another value at a path, with another key there, or without it."""
    if not path:
        return value
    tree = copy.deepcopy(tree)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    if how == "value":
        parent[path[-1]] = value
    else:
        old = parent.pop(path[-1])
        if how == "key" and isinstance(parent, dict):
            parent[str(value)] = old
    return tree


def assert_printable(text):
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in text), text


def assert_all_printable(tree):
    """Assert that no text and no key of a tree contains control characters."""
    if isinstance(tree, str):
        assert_printable(tree.replace("\n", "\0"))
    for key, branch in (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    ):
        assert_all_printable(key)
        assert_all_printable(branch)


def load_table(sweep):
    """Load the table of the sweep, and check that it has a row per run and that figures are numbers."""
    frame = load_sweep(sweep)
    assert len(frame) == 3
    assert_all_printable([*frame.index, *frame.columns, *frame.attrs["swept"], frame.attrs["fixed"]])
    assert_all_printable(
        [frame.attrs["environments"], *(x for row in frame.to_dict("records") for x in row.items())]
    )
    assert all(e["python"].split and e["packages"].items for e in frame.attrs["environments"])
    assert "loss/val" in frame.select_dtypes("number")
    sound = frame[frame["status"] != "damaged"]
    assert len(sound) >= 2 and frame["loss/val"].count() >= 2
    assert not frame[frame["status"] == "damaged"]["loss/val"].count()
    for key in frame.attrs["swept"]:
        frame.groupby(key, sort=False, dropna=False).size()
    for run in sweep.glob("seed=*"):
        for metric in ("loss/val", "loss/train", "step", "\x1b"):
            points = curve(run, metric)
            assert all(type(step) is int and math.isfinite(value) for step, value in points.items())
    return frame
