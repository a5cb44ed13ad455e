"""`new` writes parts that pass their checks, as packages that can be installed, or as files of plugins."""

import datetime
import os
import subprocess
import sys
import tomllib
import types
import venv
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from microgpt_lab import __version__
from microgpt_lab.authoring.package import (
    TEMPLATES,
    Author,
    author_of,
    own_words,
    package,
    part_source,
    versions,
)
from microgpt_lab.commands import main
from microgpt_lab.registry import folders
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.versions import HOOKS, stated
from microgpt_lab.testing import check, parts_of

ROOT = Path(__file__).parents[1]
SLOW = ("attention", "backend")  # their checks take more than a second
ADA = Author('Ada "Countess" Lovelace', "ada@example.org")


def module_of(kind, name):
    module = types.ModuleType(name)
    exec(part_source(kind, name), module.__dict__)
    return module


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else pytest.mark.thorough) for kind in KINDS],
)
def test_a_new_part_passes_its_checks(kind):
    (part,) = parts_of(module_of(kind, "of_mine"))
    assert (part.kind, part.name, stated(part.plugin)) == (kind, "of_mine", HOOKS)
    check(part)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_has_metadata_that_tools_read(kind):
    files = package(kind, "of_mine", ADA, __version__)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["entry-points"]["microgpt_lab"] == {"of_mine": "of_mine"} and "of_mine.py" in files
    assert project["authors"] == [{"name": ADA.name, "email": ADA.email}]
    (lab,) = map(Requirement, project["dependencies"])
    assert lab.name == "microgpt-lab" and __version__ in lab.specifier
    cited = yaml.safe_load(files["CITATION.cff"])
    assert cited["authors"] == [{"given-names": 'Ada "Countess"', "family-names": "Lovelace"}]
    assert cited["date-released"] == datetime.date.today()
    assert str(cited["version"]) == project["version"]
    steps = yaml.safe_load(files[".github/workflows/ci.yml"])["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": f"python -m microgpt_lab check {kind}=of_mine"}
    (part,) = parts_of(module_of(kind, "of_mine"))
    assert part.summary in files["README.md"]
    words = [*own_words("my_part"), "@kind@", "@author"]
    assert not [(path, word) for path, text in files.items() for word in words if word in path + text]
    assert "tests/test_of_mine.py" in files and ADA.name in files["LICENSE"]


def test_a_new_part_depends_on_the_versions_of_the_lab_that_keep_its_interface():
    assert versions("0.1.0") == ">=0.1,<0.2" and versions("2.3.1") == ">=2.3,<3"


def test_authors_are_those_of_git_or_unnamed(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.chdir(tmp_path)
    nobody = author_of("of_mine", tmp_path)
    cited = yaml.safe_load(package("norm", "of_mine", nobody, __version__)["CITATION.cff"])
    assert cited["authors"] == [{"name": "The of_mine authors"}]
    (tmp_path / "gitconfig").write_text('[user]\nname = "Ada \\"C\\"\\tL"\nemail = ada@example.org\n')
    assert author_of("of_mine", tmp_path) == Author('Ada "C"L', "ada@example.org")
    (tmp_path / "gitconfig").write_text('[user]\nname = Ada\nemail = "ada, at home"\n')
    assert author_of("of_mine", tmp_path) == Author("Ada")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert author_of("of_mine", tmp_path) == nobody


def test_the_templates_are_formatted_as_ruff_does_without_settings():
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--check", str(TEMPLATES / "parts")]
    subprocess.run(command, check=True, capture_output=True)


def shown_and_written(folder, monkeypatch, capsys, *arguments):
    monkeypatch.chdir(folder)
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert main(["new", *arguments]) == 0
    after = {path for path in folder.rglob("*") if path.is_file()}
    return capsys.readouterr().out, sorted(path.relative_to(folder).as_posix() for path in after - before)


def test_a_package_is_shown_with_the_commands_that_come_next(tmp_path, monkeypatch, capsys):
    shown, written = shown_and_written(tmp_path, monkeypatch, capsys, "activation", "swish_beta", "my dir")
    assert (
        shown
        == """\
my dir/
  swish_beta.py             the activation: change the code and the docstring
  CITATION.cff
  LICENSE
  README.md
  pyproject.toml
  tests/test_swish_beta.py  its test
  .github/workflows/ci.yml
  .gitignore
Next:
  python -m pip install -e './my dir[test]'
  python -m microgpt_lab check activation=swish_beta
  python -m microgpt_lab activation=swish_beta
"""
    )
    assert written == sorted(f"my dir/{line.split()[0]}" for line in shown.splitlines()[1:9])


def test_the_page_for_authors_shows_what_new_prints_and_has_all_kinds(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "authors.md").read_text(encoding="utf-8")
    shown, _ = shown_and_written(tmp_path, monkeypatch, capsys, "activation", "swish2")
    assert f"```\n{shown}```" in page
    assert all(f"| `{kind}` |" in page for kind in KINDS)
    assert package("activation", "swish2", ADA, __version__)["tests/test_swish2.py"] in page


def test_in_a_folder_of_plugins_a_part_is_one_file_that_the_lab_finds(lab, tmp_path, monkeypatch, capsys):
    plugins = tmp_path / "home" / "plugins"
    monkeypatch.setenv("MICROGPT_LAB_HOME", str(tmp_path / "home"))
    shown, written = shown_and_written(tmp_path, monkeypatch, capsys, "callback", "at_two", "home/plugins")
    assert written == ["home/plugins/at_two.py"]
    assert "check callback=at_two\n  python -m microgpt_lab 'callback=[...,at_two]'\n" in shown
    assert "callback=at_two " in lab("plugins", "callback", check=0).stdout
    (plugins / "mine").mkdir()
    _, written = shown_and_written(plugins / "mine", monkeypatch, capsys, "sampler", "random")
    assert written == ["random.py"]  # as a package, it would be in the way of Python's own module
    (tmp_path / "listed").mkdir()
    monkeypatch.setenv("MICROGPT_LAB_PLUGINS", os.pathsep.join(["elsewhere", str(tmp_path / "listed")]))
    _, written = shown_and_written(tmp_path / "listed", monkeypatch, capsys, "norm", "of_mine")
    assert written == ["of_mine.py"]


def test_in_the_labs_checkout_a_part_has_the_folder_of_its_kind(tmp_path, monkeypatch, capsys):
    (tmp_path / "plugins" / "norms").mkdir(parents=True)
    monkeypatch.setattr(folders, "CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path / "plugins" / "norms")
    assert main(["new", "loss", "of_mine"]) == 0
    assert (tmp_path / "plugins" / "losses" / "of_mine.py").read_text(encoding="utf-8") == part_source(
        "loss", "of_mine"
    )


def test_a_disk_without_room_is_left_as_it_was(tmp_path, monkeypatch, capsys):
    resource = pytest.importorskip("resource", reason="needs limits of POSIX")
    monkeypatch.chdir(tmp_path)
    largest, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # less than the licence has
    try:
        status = main(["new", "norm", "of_mine"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    error = f"error: {tmp_path / 'of_mine'} cannot be written: File too large\n"
    assert (status, capsys.readouterr().err) == (1, error) and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_installed_package_is_in_the_lab_and_passes_its_own_tests(tmp_path):
    """In an environment of its own, which has what is installed here, and nothing of the package's folder."""
    here = [path for path in sys.path if path.endswith("site-packages")]
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    venv.create(tmp_path / "env", with_pip=True)
    (site,) = (tmp_path / "env").rglob("site-packages")
    (site / "here.pth").write_text("\n".join([str(ROOT), *here]), encoding="utf-8")
    env = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments, cwd=tmp_path):
        command = [str(python), "-m", *arguments]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("microgpt_lab", "new", "activation", "of_mine")
    run("pip", "install", "-q", "-e", "./of_mine[test]")
    assert "of_mine" in run("microgpt_lab", "--help")
    assert "(microgpt-lab-of-mine)" in run("microgpt_lab", "plugins", "activation")
    assert " passed" in run("pytest", "-p", "no:cacheprovider", cwd=tmp_path / "of_mine")
    run("microgpt_lab", "activation=of_mine", "steps=2", "eval_docs=2", "samples=1")
