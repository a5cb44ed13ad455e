"""`backend=auto` is c where a C compiler is found, else numpy, and whoever reads a run sees which it was."""

import importlib.util
import json
import shutil

import hydra
import pytest
import yaml

from microgpt_lab import UserError, part
from microgpt_lab.options.compose import compose, register
from microgpt_lab.options.config import converted_config
from microgpt_lab.registry.folders import CONF
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import Registry, registry

SHORT = ["steps=4", "train_docs=50", "eval_docs=5", "samples=1", "callback=[jsonl,checkpoint]"]
NO_COMPILER = {"PATH": "/nonexistent", "CC": ""}
if not shutil.which("cc") or importlib.util.find_spec("ziglang"):
    pytest.skip("needs a C compiler that a PATH without programs hides", allow_module_level=True)


def taken(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())["backend"]


@pytest.fixture
def c_run(lab, tmp_path):
    """Folder of an unfinished run for which backend=auto took c."""
    lab(*SHORT, "backend=auto", "hydra.run.dir=run", check=0)
    (tmp_path / "run" / "summary.json").unlink()
    return tmp_path / "run"


def test_auto_is_c_with_a_compiler_and_numpy_without_one(monkeypatch):
    float32 = ["backend=auto", "backend.precision=float32"]
    assert compose(float32)["backend"] == {"name": "c", "precision": "float32"}
    assert type(part("backend", "auto")).__name__ == "C"
    monkeypatch.setenv("PATH", "")
    assert compose(float32)["backend"] == {"name": "numpy", "precision": "float32"}
    assert compose(["backend=auto"], auto="c")["backend"] == {"name": "c", "precision": "float64"}
    assert type(part("backend", "auto")).__name__ == "NumPy"


def test_a_sweep_finds_out_once_what_auto_is(monkeypatch):
    """Workers compose with the ConfigStore that Hydra's launchers give them, and may have no compiler."""
    register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        assert hydra.compose("config", ["backend=auto"]).backend.name == "c"
    monkeypatch.setenv("PATH", "")
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        assert hydra.compose("config", ["backend=auto", "layers=2"]).backend.name == "c"


def test_a_configuration_from_python_names_the_backend_that_was_taken():
    config = compose([]) | {"backend": {"name": "auto", "precision": "float32"}}
    assert converted_config(config)["backend"] == {"name": "c", "precision": "float32"}


def test_a_backend_of_a_plugin_cannot_be_called_auto():
    found = Registry()
    found.add(Part("backend", "auto", object, "theirs"))
    with pytest.raises(UserError, match=r"defined twice, by .* and theirs: remove or rename one"):
        found.get("backend", "auto")


def test_auto_is_numpy_if_the_plugin_of_c_is_skipped(monkeypatch):
    monkeypatch.delitem(registry().parts, ("backend", "c"))
    assert compose(["backend=auto"])["backend"]["name"] == "numpy"


def test_a_wrong_cc_is_an_error_of_those_alone_who_need_a_compiler(monkeypatch):
    monkeypatch.setenv("CC", "gccc")
    assert compose([])["backend"]["name"] == "python"
    with pytest.raises(UserError, match=r"^CC=gccc is not a C compiler"):
        compose(["backend=auto"])


@pytest.mark.thorough
def test_a_sweep_identifies_its_jobs_by_the_backend_that_was_taken(lab, tmp_path):
    done = lab("-m", *SHORT, "backend=auto,c,python", "hydra.sweep.dir=swept", check=0)
    assert "backend=c  already finished" in done.stdout
    folders = [path.parent for path in (tmp_path / "swept").glob("*/config.yaml")]
    assert sorted(taken(folder)["name"] for folder in folders) == ["c", "python"]
    table = lab("report", "swept", check=0).stdout
    assert "  c  " in table and "auto" not in table


def test_a_recipe_may_name_auto(lab, tmp_path):
    recipe = tmp_path / "home" / "experiments" / "mine" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        "# @package _global_\ndefaults:\n  - override /backend: auto\nbackend:\n  precision: float32\n"
    )
    for env, name in ((NO_COMPILER, "numpy"), ({}, "c")):
        shown = yaml.safe_load(lab("experiment=mine", "--cfg", "job", env=env, check=0).stdout)
        assert shown["backend"] == {"name": name, "precision": "float32"}
    lab("experiment=mine", *SHORT, "hydra.run.dir=run", env=NO_COMPILER, check=0)
    lab("resume", "run", "steps=5", check=0)
    assert taken(tmp_path / "run")["name"] == "numpy"


def test_lists_show_auto_but_a_glob_takes_each_backend_once(lab):
    env = {"COMP_LINE": "microgpt-lab backend=a", "COMP_POINT": "22"}
    assert "backend=auto" in lab("-sc", "query=bash", env=env, check=0).stdout
    assert "backend=auto" in lab("plugins", check=0).stdout
    assert "auto, c, jax, numpy, python" in lab("--help", check=0).stdout
    assert "a C compiler" in lab("help", "auto", check=0).stdout
    swept = lab("-m", "backend=glob(*,exclude=jax)", *SHORT, "--dry", check=0).stdout.splitlines()
    assert [line.partition(",")[0] for line in swept[:-1]] == ["backend=c", "backend=numpy", "backend=python"]


def test_a_run_of_c_resumes_with_c_or_not_at_all(lab, c_run):
    for arguments in ([], ["steps=6"]):
        (line,) = lab("resume", "run", *arguments, env=NO_COMPILER, check=2).stderr.splitlines()
        assert line.startswith("error: backend=c needs a C compiler: install gcc or clang, or pip install")
    lab("resume", "run", "steps=6", check=0)
    assert taken(c_run)["name"] == "c"
    assert yaml.safe_load((c_run / "overrides.yaml").read_text())[-2:] == ["backend=auto", "steps=6"]


def test_nothing_but_training_on_c_needs_a_compiler(lab, c_run):
    words = {"env": NO_COMPILER, "check": 0}
    assert lab("sample", "run", "-n", "3", **words).stdout.count("\n") >= 3
    (listed,) = json.loads(lab("runs", ".", "backend=c", "--json", **words).stdout)
    assert listed["differs"]["backend"] == "c"
    lab(*SHORT, "init_from=run", "backend=auto", "hydra.run.dir=other", **words)
    assert "backend" in lab("runs", "diff", "run", "other", **words).stdout
    (line,) = lab(*SHORT, "backend=c", env=NO_COMPILER, check=2).stderr.splitlines()
    assert line.startswith("error: backend=c needs a C compiler")
