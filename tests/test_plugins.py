"""Plugins: they are found in the right folders, and one file is enough."""

import doctest
import importlib
import inspect
import shutil
import sys
from pathlib import Path

import pytest

from microgpt_lab.commands import plugins as listing
from microgpt_lab.core import autograd, reprs, see
from microgpt_lab.options import keys
from microgpt_lab.registry import hookspecs, plugins
from microgpt_lab.registry.hookspecs import EVENTS, KINDS, hook_of
from microgpt_lab.registry.parts import Part
from microgpt_lab.run import environment

ROOT = Path(__file__).parents[1]
SWISH = '''
from microgpt_lab import hookimpl
from microgpt_lab.ops import sigmoid

def swish(x, *, beta: float = 1.0):
    """x sigmoid(beta x)."""
    return x * sigmoid(x * beta)

@hookimpl
def activations():
    return [swish]
'''
SHORT = ("steps=2", "eval_docs=2", "train_docs=100", "samples=1", "embed=4")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def test_one_file_in_a_named_folder_is_enough(lab, folder):
    (folder / "swish.py").write_text(SWISH)
    env = {"MICROGPT_LAB_PLUGINS": str(folder)}
    lab(*SHORT, "activation=swish", "activation.beta=2", env=env, check=0)
    assert "swish" in lab("--help", env=env, check=0).stdout
    assert "beta: 1.0" in lab("activation=swish", "--cfg", "job", env=env, check=0).stdout
    assert "write a number" in lab("activation=swish", "activation.beta=abc", env=env, check=2).stderr
    assert "did you mean 'swish'" in lab("activation=swishh", env=env, check=2).stderr


def write_package(folder):
    """A package that is one plugin: its `__init__.py` has the hook, another file the part."""
    formula, hook = SWISH.split("@hookimpl")
    folder.mkdir()
    head = "from microgpt_lab import hookimpl\nfrom .formula import swish\n@hookimpl"
    (folder / "__init__.py").write_text(head + hook)
    (folder / "formula.py").write_text(formula)


def test_a_package_with_hooks_is_one_plugin_and_one_without_is_a_folder(lab, folder):
    write_package(folder / "swish")
    (folder / "swish" / "unused.py").write_text("1 / 0")  # no plugin of its own, so nothing imports it
    (folder / "others").mkdir()
    (folder / "others" / "__init__.py").touch()
    (folder / "others" / "swosh.py").write_text(SWISH.replace("swish", "swosh"))
    (folder / "others" / "_private.py").write_text("1 / 0")
    (folder / "published" / "tests").mkdir(parents=True)
    (folder / "published" / "pyproject.toml").touch()  # to be installed, so nothing imports its files
    for file in ("published.py", "tests/test_published.py"):
        (folder / "published" / file).write_text("1 / 0")
    listed = lab("plugins", "activation", env={"MICROGPT_LAB_PLUGINS": str(folder)}, check=0)
    assert "activation=swish" in listed.stdout and "activation=swosh" in listed.stdout
    assert not listed.stderr and "skipped" not in listed.stdout and "clash" not in listed.stdout


def test_a_change_in_any_file_of_a_package_is_a_changed_part(lab, folder):
    write_package(folder / "swish")
    (folder / "swish" / "helper.py").touch()
    env = {"MICROGPT_LAB_PLUGINS": str(folder)}
    lab(*SHORT, "activation=swish", "callback=[checkpoint]", "hydra.run.dir=run", env=env, check=0)
    (folder / "swish" / "helper.py").write_text("x = 1\n")
    changed = lab("resume", "run", "steps=3", env=env, check=2).stderr
    assert "parts.activation.sha256 was" in changed and "core was" not in changed


def test_the_source_of_a_part_is_that_of_its_base_classes_too(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_heads.py").write_text("from microgpt_lab import Heads\nclass Base(Heads): pass\n")
    (tmp_path / "my_attention.py").write_text("from my_heads import Base\nclass Mine(Base): pass\n")
    part = Part("attention", "mine", importlib.import_module("my_attention").Mine, "my_attention")
    hashed = set()
    for file in (None, "my_heads.py", "my_attention.py"):
        if file:
            (tmp_path / file).write_text("# changed\n")
        hashed.add(environment.source_sha256.__wrapped__(part))
    assert len(hashed) == 3 and None not in hashed


def test_the_core_is_the_code_that_computes(monkeypatch, tmp_path):
    shutil.copytree(ROOT / "microgpt_lab", tmp_path / "lab")
    monkeypatch.setattr(environment, "PACKAGE", tmp_path / "lab")
    core_sha256 = environment.core_sha256.__wrapped__
    before = core_sha256()
    (tmp_path / "lab" / "registry" / "synonyms.py").write_text("")
    assert core_sha256() == before
    for file in ("core/model.py", "tensors/tensor.py"):
        (tmp_path / "lab" / file).write_text("")
        assert core_sha256() != before
        before = core_sha256()


def test_plugins_are_found_in_the_lab_folder_but_not_in_the_current_one(lab, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "swish.py").write_text(SWISH)
    assert "unknown" in lab("activation=swish", *SHORT, check=2).stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "plugins").rename(tmp_path / "home" / "plugins")
    lab("activation=swish", *SHORT, check=0)


def test_recipes_and_presets_are_found_in_the_lab_folder(lab, tmp_path):
    recipe = tmp_path / "home" / "experiments" / "short" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nsteps: 3\n")
    preset = tmp_path / "home" / "conf" / "activation" / "leaky_steep.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("defaults:\n  - leaky_relu\nslope: 0.3\n")
    shown = lab("experiment=short", "activation=leaky_steep", "--cfg", "job", check=0).stdout
    assert "steps: 3" in shown and "slope: 0.3" in shown and "name: leaky_relu" in shown


def test_of_two_recipes_with_the_same_name_the_lab_s_is_taken(tmp_path, monkeypatch):
    """Also if the path of the user's folder sorts after the checkout."""
    for folder, other in (("a", "z"), ("z", "a")):
        for root in (folder, other):
            recipe = tmp_path / root / "experiments" / "short" / "recipe.yaml"
            recipe.parent.mkdir(parents=True, exist_ok=True)
            recipe.write_text("# @package _global_\n")
        monkeypatch.setattr(keys, "EXPERIMENTS", tmp_path / folder / "experiments")
        monkeypatch.setattr(keys, "home", lambda other=other: tmp_path / other)
        assert keys.recipes() == {"short": tmp_path / folder / "experiments" / "short"}


def test_a_plugin_with_a_missing_dependency_is_unavailable(lab, folder):
    (folder / "needs.py").write_text("import no_such_package\n" + SWISH)
    done = lab(*SHORT, env={"MICROGPT_LAB_PLUGINS": str(folder)}, check=0)
    assert "unavailable: pip install no_such_package" in done.stderr
    (folder / "needs.py").write_text(
        SWISH.replace("    return x", "    import no_such_package\n    return x")
    )


def test_two_parts_with_the_same_name_are_an_error_that_names_both(lab, folder):
    for name in ("first", "second"):
        (folder / f"{name}.py").write_text(SWISH)
    env = {"MICROGPT_LAB_PLUGINS": str(folder)}
    lab(*SHORT, env=env, check=0)
    error = lab(*SHORT, "activation=swish", env=env, check=2).stderr.splitlines()[-1]
    assert ".first" in error and ".second" in error


def test_a_plugin_module_can_receive_events(lab, folder):
    source = "from microgpt_lab import hookimpl\n@hookimpl\ndef step_finished(step):\n    print('seen', step)"
    (folder / "watch.py").write_text(source)
    assert "seen 2" in lab(*SHORT, env={"MICROGPT_LAB_PLUGINS": str(folder)}, check=0).stdout


def test_every_hook_has_an_example_that_runs():
    hooks = {name: f for name, f in vars(hookspecs).items() if hasattr(f, "microgpt_lab_spec")}
    assert set(hooks) == {*map(hook_of, KINDS), *EVENTS}
    for name, hook in hooks.items():
        test = doctest.DocTestParser().get_doctest(inspect.getdoc(hook), {}, name, None, 0)
        assert test.examples, f"{name} has no example"
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test)
        assert not runner.failures, name


def test_what_a_plugin_says_of_itself_is_shown_as_text(monkeypatch, capsys):
    """Neither the characters that control a terminal nor the markup of the library that prints act."""

    def odd(x, *, beta: str = "\x1b[2J[red]"):
        """\x1b[2J[bold]x.

        beta: \x1b[31m[blue]of x.
        """
        return x

    with plugins.only():
        shown = Part("activation", "odd", odd, "tests", sys.modules[__name__])
        monkeypatch.setitem(plugins.registry().parts, ("activation", "odd"), shown)
        plugins.registry().skipped["bad"] = plugins.why_skipped(ValueError("\x1b[2J[red]no"))
        for words in (["odd"], ["activation"], []):
            listing.main(words)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "ValueError: \\x1b[2J[red]no" in printed
    assert printed.count("\\x1b[2J[bold]x.") == 3 and "activation.beta=\\x1b[2J[red]" in printed
    assert printed.count("\\x1b[31m[blue]of x.") == 2


@pytest.mark.parametrize("module", [autograd, plugins, reprs, see])
def test_examples_in_docstrings_run(module):
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert results.attempted and not results.failed
