"""The tours in README and in docs/start.md run as written, after README's first command."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from microgpt_lab.commands import COMMANDS
from microgpt_lab.options import mistakes
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.extras import EXTRAS

ROOT = Path(__file__).parents[2]
README, START = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/start.md"))
(FIRST, _, *README_TOUR), (_, *START_TOUR) = (
    re.findall(r"```sh\n(.*?)```", p, flags=re.S) for p in (README, START)
)
TOUR = "".join([*README_TOUR, *START_TOUR]).splitlines()
LAB = [shlex.split(line, comments=True)[3:] for line in TOUR if line.startswith("python -m microgpt_lab ")]
TRAINING = [words for words in LAB if words[0] not in COMMANDS and "--help" not in words]


@pytest.fixture
def checkout(tmp_path):
    """Folder in which the tour runs, with the repository's examples, which the tour reads."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def test_the_pages_contain_the_tour():
    assert len(LAB) > 10 and len(TRAINING) > 5
    others = [line for line in TOUR if not line.startswith("python -m microgpt_lab ")]
    assert others == ["tensorboard --logdir runs"]


def test_the_tour_needs_no_particular_shell():
    assert not [line for line in TOUR if re.search(r"[$`|;&<>~]", line.partition("#")[0])]


def test_the_first_command_installs_what_the_tour_needs():
    installed = re.search(r"\.\[([\w,]+)\]", FIRST)[1].split(",")
    assert set(installed) == {"board", "report"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = " ".join(need for extra in installed for need in extras[extra])
    assert all(module in needed for module in ("tensorboard", "jinja2", "matplotlib", "pandas", "scipy"))
    left = {module for extra in set(EXTRAS) - set(installed) for module in (*EXTRAS[extra], extra)}
    assert not [words for words in LAB for word in words if set(re.split(r"\W+", word)) & left]


@pytest.mark.thorough
@pytest.mark.parametrize("words", TRAINING, ids=" ".join)
def test_each_training_line_can_be_composed(lab, checkout, words):
    if "-m" in words:
        lab(*words, "--dry", cwd=checkout, check=0, exactly=True)
    else:
        mistakes.check_twice(words)
        compose(words)
    for path in (word.partition("path=")[2] for word in words if "path=" in word):
        assert (checkout / path).is_file()


@pytest.mark.parametrize("words", [words for words in LAB if words[0] in COMMANDS], ids=" ".join)
def test_each_other_line_names_existing_flags(lab, words):
    shown = lab("help", words[0], check=0).stdout
    assert all(re.search(rf"{flag}\b", shown) for flag in words if flag.startswith("-"))


@pytest.mark.slow
def test_the_whole_tour_runs(lab, checkout):
    for words in LAB:
        done = lab(*words, cwd=checkout, exactly=True)
        assert done.returncode == 0 and "Traceback" not in done.stderr, (words, done.stderr)
