"""The version is the same wherever it is stated."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import microgpt_lab
from microgpt_lab import __version__
from microgpt_lab.run.environment import environment

ROOT = Path(__file__).parents[1]


def test_changelog_and_citation_have_the_version_and_its_date():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## ([\d.]+), (\d{4}-\d\d-\d\d)$", changelog, flags=re.M)
    assert released[0] == (__version__, str(cited["date-released"])) == (cited["version"], released[0][1])
    assert released == sorted(released, key=lambda each: [*map(int, each[0].split("."))], reverse=True)
    headings = re.findall(r"^## (.+)$", changelog, flags=re.M)
    assert [*map(", ".join, released)] == headings[headings[0] == "Unreleased" :]


def test_the_packages_in_examples_are_for_this_version():
    files = list((ROOT / "examples").glob("*/pyproject.toml"))
    assert len(files) > 3
    for file in files:
        needed = map(Requirement, tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"])
        (lab,) = (each for each in needed if each.name == "microgpt-lab")
        assert __version__ in lab.specifier, file


def test_ci_runs_on_the_versions_of_python_that_the_metadata_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert project["requires-python"] == f">={named[0]}"
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    for job in ("linux", "systems"):
        assert jobs[job]["strategy"]["matrix"]["python"] == named


def test_a_run_records_the_version_of_the_code_not_of_an_older_installation(monkeypatch):
    assert environment()["packages"]["microgpt-lab"] == __version__
    monkeypatch.setattr(microgpt_lab, "__version__", "9.9.9")
    assert environment.__wrapped__()["packages"]["microgpt-lab"] == "9.9.9"
