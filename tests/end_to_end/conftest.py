"""Runs on disk, for the tests of the commands that list, compare, find and remove them."""

import pytest
from run_folders import DAY, HOUR, made

from microgpt_lab.options.compose import compose


@pytest.fixture(scope="module")
def config():
    return compose(["backend=numpy", "steps=20"])


@pytest.fixture
def home(tmp_path, config):
    """Five runs: one of the defaults, a sweep of two, one that diverged, one that was killed."""
    runs, other = tmp_path / "runs", compose(["optimizer=sgd", "callback=[jsonl]"])
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
