"""Promise: a mistake on the command line is a one-line error with exit status 2, and writes nothing."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab import UserError
from microgpt_lab.commands import COMMANDS
from microgpt_lab.options import mistakes
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.match import matched

WRONG = yaml.safe_load(Path(__file__).parents[1].joinpath("golden", "mistakes.yaml").read_text())
# What only the command line refuses, or says in other words than `compose` and `assemble`.
NOT_COMPOSED = ("samlpe", "activation=relu,gelu", "hydra.run.dir=/dev/null/run", "jobs=2")
NOT_COMPOSED += (
    "until=0.005",
    "callback.checkpoint.every=-5",
)


def is_composed(wrong):
    command = wrong["command"]
    words = {*command.split()}
    return not wrong.get("files") and not words & {"-m", "--help", *COMMANDS} and command not in NOT_COMPOSED


COMPOSED = [wrong for wrong in WRONG if is_composed(wrong)]


@pytest.mark.parametrize(
    "wrong",
    [  # each takes a fifth of a second: every third is enough between two changes
        pytest.param(wrong, id=wrong["command"], marks=[pytest.mark.thorough] * (i % 3 > 0))
        for i, wrong in enumerate(COMPOSED)
    ],
)
def test_a_mistake_in_a_configuration_is_a_one_line_error(wrong):
    arguments = wrong["command"].split()
    with pytest.raises(UserError) as refused:
        mistakes.check_flags(arguments)
        mistakes.check_twice(arguments)
        config = matched(compose(arguments), arguments)
        assemble(config, load_documents(config))
    assert str(refused.value) == wrong["answer"]


def every_mistake():
    """From its error on, every refused configuration takes the same way: most are slow here."""
    for i, wrong in enumerate(WRONG):
        slow = wrong in COMPOSED and COMPOSED.index(wrong) % 8
        mark = pytest.mark.slow if slow else pytest.mark.thorough
        yield pytest.param(wrong, id=wrong["command"], marks=[mark] * bool(slow or i % 8))


@pytest.mark.parametrize("wrong", list(every_mistake()))
def test_a_mistake_prints_one_line_and_writes_nothing(lab, tmp_path, wrong):
    for name, text in wrong.get("files", {}).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    before = sorted(tmp_path.rglob("*"))
    done = lab(*wrong["command"].split(), check=2, exactly=True)
    assert done.stderr == f"error: {wrong['answer'].replace('FOLDER', str(tmp_path))}\n"
    assert not done.stdout
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts] == before


def test_a_refused_run_removes_only_its_own_folders(lab, tmp_path):
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


def test_an_empty_data_set_is_an_error(lab, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    assert "no documents" in lab("dataset=text", "dataset.path=empty.txt", check=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


KEYS = [
    "layers",
    "activation",
    "activation.slope",
    "optimizer.lr",
    "callback",
    "dataset.path",
    "+x",
    "~norm",
    "++seed",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OVERRIDES = st.one_of(TEXT, st.tuples(st.sampled_from(KEYS), TEXT).map("=".join))


def compose_or_refuse(override):
    with contextlib.suppress(UserError):  # it is printed as one line
        assert isinstance(compose([override]), dict)


@settings(max_examples=30, deadline=None)
@given(OVERRIDES)
def test_any_override_is_accepted_or_refused_in_one_line(override):
    compose_or_refuse(override)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(OVERRIDES)
def test_many_overrides_are_accepted_or_refused_in_one_line(override):
    compose_or_refuse(override)
