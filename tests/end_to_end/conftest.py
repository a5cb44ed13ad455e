"""Runs on disk, for tests of commands that list, compare, find, remove or continue them."""

import shutil

import pytest
from run_folders import DAY, HOUR, made
from test_sweeps import SWEEP

from microgpt_lab.options.compose import compose


@pytest.fixture(scope="module")
def config():
    return compose(["backend=numpy", "steps=20"])


@pytest.fixture(scope="module")
def other():
    return compose(["optimizer=sgd", "callback=[jsonl]"])


@pytest.fixture
def home(tmp_path, config, other):
    """Five runs: one of the defaults, a sweep of two, one that diverged, one that was killed."""
    runs = tmp_path / "runs"
    made(runs / "first", config, age=3 * DAY, status="ok", steps=20, seconds=1.5, **{"loss/val": 2.5})
    for seed, loss in ((1, 2.25), (2, 2.75)):
        gelu = config | {"activation": {"name": "gelu", "approximate": "none"}, "seed": seed}
        options = {"sweep": runs / "swept", "age": 5 * HOUR - seed}
        made(runs / "swept" / f"seed={seed}", gelu, status="ok", steps=20, **{"loss/val": loss}, **options)
    made(runs / "hot", other, age=2 * HOUR, status="diverged", error="step 3: too large", steps=2)
    made(runs / "killed", config | {"layers": 2}, age=60)
    return tmp_path


@pytest.fixture
def inside_home(home, monkeypatch):
    """`home`, as the current folder of the test."""
    monkeypatch.chdir(home)
    return home


@pytest.fixture(scope="session")
def finished_sweep(lab_in, tmp_path_factory):
    """A sweep over two seeds."""
    folder = tmp_path_factory.mktemp("finished_sweep")
    lab_in(folder, *SWEEP, "seed=range(2)", check=0)
    return folder / "sweep"


@pytest.fixture
def swept(finished_sweep, tmp_path):
    """A copy of it, in the folder of the test."""
    return shutil.copytree(finished_sweep, tmp_path / "sweep")
