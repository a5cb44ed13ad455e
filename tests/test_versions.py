"""Plugins for other versions of the hooks, and where parts come from."""

import json
import re
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest

import microgpt_lab
from microgpt_lab import UserError, backends, ops, testing
from microgpt_lab.commands import main
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.origins import licence, origin
from microgpt_lab.registry.plugins import collect, find, registry
from microgpt_lab.registry.versions import CHANGES, HOOKS, TooNew
from microgpt_lab.run import environment
from microgpt_lab.run.resume import changes, inputs_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
SHORT = ("steps=2", "eval_docs=2", "samples=1", "embed=4", "train_docs=50")
HEAD = "from microgpt_lab import hookimpl\nMICROGPT_LAB_HOOKS = {version}\n"
SWISH = (
    HEAD
    + '''
def swish(x, *, beta: float = 1.0):
    """x sigmoid(beta x).

    beta: steepness.
    """
    return x * (x * beta).apply("sigmoid")

@hookimpl
def activations():
    return [swish]
'''
)
# Written when x.norm() was a number, not a tensor.
CLIPPED = (
    HEAD
    + '''
class Clipped:
    """w - lr g, where g is at most 1 long."""
    def __init__(self, *, lr: float = 0.01):
        self.lr = lr
    def init(self, w):
        return ()
    def update(self, g, state, w, lr, step):
        return w - g * (lr / float(max(1.0, g.norm()))), state

@hookimpl
def optimizers():
    return [Clipped]
'''
)
NORM = "x.norm() is a tensor of shape (1, 1), not a number"


def module(source):
    """A module with this source, written for the first version of the hooks if it does not say."""
    made = ModuleType("mine")
    exec(source.format(version=1) if "{version}" in source else source, made.__dict__)
    return made


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    return folder


def test_a_plugin_that_cannot_be_loaded_says_what_changed_since(lab, folder):
    """For the kinds that it defines. One that works, or that states no version, says nothing."""
    moved = "from microgpt_lab.schedule import warm\n" + HEAD
    moved += "@hookimpl\ndef schedulers(): return [warm]\n"
    (folder / "a_moved.py").write_text(moved.format(version=2))
    (folder / "b_silent.py").write_text(re.sub("MICRO.*", "", moved))
    (folder / "c_newer.py").write_text(SWISH.format(version=HOOKS + 1))
    (folder / "d_newer_still.py").write_text("from microgpt_lab import Nonesuch\n" + HEAD.format(version=99))
    (folder / "e_word.py").write_text(SWISH.format(version="'last'"))
    (folder / "f_swish.py").write_text(SWISH.format(version=1))
    done = lab(*SHORT, "activation=swish", env={"MICROGPT_LAB_PLUGINS": str(folder)}, check=0)
    moved, silent, newer, still, word = done.stderr.splitlines()
    assert moved.endswith(
        f" (written for version 2 of the hooks; since then: {CHANGES[3]['']}; {CHANGES[3]['scheduler']})"
    )
    assert silent.endswith("No module named 'microgpt_lab.schedule'")
    assert newer.endswith(
        f"written for version {HOOKS + 1} of the hooks, and this lab has {HOOKS}: upgrade microgpt-lab"
    )
    assert "Nonesuch" in still and "written for version 99 of the hooks" in still
    assert word.endswith("MICROGPT_LAB_HOOKS must be a whole number from 1, not 'last'")


@pytest.mark.parametrize("version", [1, HOOKS])
def test_a_part_that_fails_in_its_trial_says_what_changed_since(lab, folder, version):
    (folder / "clipped.py").write_text(CLIPPED.format(version=version))
    env = {"MICROGPT_LAB_PLUGINS": str(folder)}
    error = lab(*SHORT, "optimizer=clipped", "backend=python", env=env, check=2).stderr
    assert len(error.splitlines()) == 1 and "cannot run on backend=python: " in error
    assert (NORM in error) == ("written for version" in error) == (version == 1)


def test_a_part_that_cannot_be_built_says_what_changed_since():
    source = CLIPPED.replace("self.lr = lr", "raise RuntimeError('old')")
    with pytest.raises(
        UserError, match=r"cannot be built: RuntimeError: old \(written for version 1 .*not a number"
    ):
        collect(module(source), "mine")[0].build()


def test_check_says_what_changed_since():
    norm = HEAD + "def loud(x):\n '''Doubles.'''\n return x[:1]\n@hookimpl\ndef norms(): return [loud]\n"
    (part,) = collect(module(norm), "mine")
    with pytest.raises(
        AssertionError, match=rf"\(written for version 1 of the hooks; since then: .*{re.escape(NORM)}"
    ):
        testing.check(part)


def test_a_callback_that_fails_in_a_run_says_what_changed_since(lab, folder):
    source = (
        HEAD + "class Old:\n '''Reads letters.'''\n def run_started(self, trainer): trainer.corpus.chars\n"
    )
    (folder / "old.py").write_text(source.format(version=4) + "@hookimpl\ndef callbacks(): return [Old]\n")
    done = lab(*SHORT, "callback=[old]", env={"MICROGPT_LAB_PLUGINS": str(folder)}, check=0)
    (line,) = done.stderr.splitlines()
    assert "callback old failed in run_started" in line and CHANGES[5]["callback"] in line
    assert CHANGES[2]["callback"] not in line


def test_a_module_for_a_newer_lab_has_no_parts_here():
    with pytest.raises(TooNew, match="upgrade microgpt-lab"):
        testing.parts_of(module(SWISH.format(version=HOOKS + 1)))


def test_every_version_says_what_changed():
    assert list(CHANGES) == list(range(2, HOOKS + 1))
    assert all(changed and changed.keys() <= {"", *KINDS} for changed in CHANGES.values())
    assert f"\nMICROGPT_LAB_HOOKS = {HOOKS}\n" in PAGE


@pytest.mark.parametrize("public", [microgpt_lab, backends, ops, testing], ids=lambda module: module.__name__)
def test_the_public_names_are_those_of_the_page(public):
    (listed,) = re.findall(
        rf"\n- \*\*`{re.escape(public.__name__)}`\*\*[^:]*: (.*?)\.\n", PAGE, flags=re.DOTALL
    )
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(public.__all__)


METADATA = "Metadata-Version: 2.4\nName: swish-beta\nVersion: {version}\n{licence}\n"


def install(site, version="0.2.0", licence="License-Expression: MIT"):
    """Write an installed package with one part, as pip would."""
    package, info = site / "swish_beta", site / f"swish_beta-{version}.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(SWISH.format(version=2))
    (info / "METADATA").write_text(METADATA.format(version=version, licence=licence))
    (info / "entry_points.txt").write_text("[microgpt_lab]\nswish = swish_beta.parts\n")
    return Distribution.at(info)


@pytest.fixture
def installed(tmp_path, monkeypatch, folder):
    """The parts swish, of a package, and twice, of a file; registered in this process."""
    install(tmp_path / "site")
    twice = SWISH.replace("swish", "twice").replace("MICRO", "__version__ = '1.5'\nMICRO")
    (folder / "twice.py").write_text(twice.format(version=HOOKS))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("MICROGPT_LAB_PLUGINS", str(folder))
    find.cache_clear()
    yield
    monkeypatch.undo()
    find.cache_clear()
    for name in [n for n in sys.modules if n.partition(".")[0] in ("swish_beta", "microgpt_lab_user1")]:
        del sys.modules[name]


def test_plugins_shows_where_parts_come_from(installed, capsys, tmp_path):
    assert main(["plugins", "activation"]) == 0
    listed = capsys.readouterr().out
    site = tmp_path / "site" / "swish_beta" / "parts.py"
    assert re.search(rf"  from +swish-beta 0.2.0, MIT, version 2 of the hooks,\s+{site}\n", listed)
    assert re.search(r"  from +version 1.5,\s+\S+parts/twice.py,\s+sha256 [0-9a-f]{8}\n", listed)
    assert listed.count("  from ") == 2
    for word in ("swish", "activation=swish"):
        assert main(["plugins", word]) == 0
        full = capsys.readouterr().out
        facts = dict(re.findall(r"^  (\S+) +(\S.*)$", full, flags=re.MULTILINE))
        assert facts["activation.beta=1.0"] == "steepness."
        assert (facts["provider"], facts["version"], facts["licence"]) == ("swish-beta", "0.2.0", "MIT")
        assert facts["file"] == str(site) and len(facts["sha256"]) == 64
        assert facts["hooks"] == f"version 2; since then: {CHANGES[3]['']}"
    assert main(["plugins", "twice"]) == 0
    assert re.search(r"licence +not stated\n", capsys.readouterr().out)
    for word, error in (
        ("swosh", "did you mean 'swish'"),
        ("norm=swish", "norm=swish is unknown"),
        ("nrm=a", "'norm'"),
    ):
        assert main(["plugins", word]) == 2
        shown = capsys.readouterr().err
        assert error in shown and shown.count("\n") == 1


def test_a_run_records_package_version_and_licence(installed):
    config = compose(["activation=swish", "norm=none", "callback=[jsonl]"])
    source = environment.part_sources(config)["activation"]
    assert source.pop("sha256") == environment.source_sha256(registry().get("activation", "swish"))
    assert source == {
        "provider": "swish_beta.parts (swish-beta)",
        "distribution": "swish-beta",
        "version": "0.2.0",
        "licence": "MIT",
    }
    file = environment.part_sources(compose(["activation=twice"]))["activation"]
    assert file["version"] == "1.5" and "licence" not in file and "distribution" not in file
    assert environment.callback_sources(config)["jsonl"].keys() == {"provider", "sha256"}


def test_the_source_of_an_installed_part_is_its_whole_package(installed, tmp_path):
    part = registry().get("activation", "swish")
    before = environment.source_sha256.__wrapped__(part)
    (tmp_path / "site" / "swish_beta" / "helper.py").touch()
    assert environment.source_sha256.__wrapped__(part) != before
    assert origin(part).hooks == 2


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: GPL", "MIT OR Apache-2.0"),
        ("License: BSD", "BSD"),
        (
            "License: Copyright somebody\n  all rights\nClassifier: License :: OSI Approved :: MIT License",
            "MIT License",
        ),
        ("Classifier: Programming Language :: Python", ""),
    ],
)
def test_the_licence_is_what_the_metadata_names(tmp_path, lines, found):
    assert licence(install(tmp_path, licence=lines)) == found


def test_another_version_of_a_part_is_a_change_but_an_unrecorded_one_is_not():
    part = {"provider": "swish_beta", "sha256": "a" * 64}
    older, one, two = (
        {"parts": {"activation": part | more}} for more in ({}, {"version": "1"}, {"version": "2"})
    )
    assert changes(inputs_of(one), inputs_of(two)) == ["parts.activation.version was 1, is 2"]
    assert changes(inputs_of(older), inputs_of(two)) == changes(inputs_of(one), inputs_of(older)) == []
    relicensed = {
        "parts": {"activation": part | {"version": "1", "licence": "MIT"}},
        "callbacks": {"mine": part},
    }
    assert changes(inputs_of(one), inputs_of(relicensed)) == []
    assert json.loads(json.dumps(inputs_of({"parts": {"activation": 3}})))["parts"] == {"activation": 3}


def test_a_commit_is_dirty_if_its_files_have_changed_not_if_there_are_new_ones(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "code.py").touch()
    git("init")
    git("add", "code.py")
    git("commit", "-m", "first")
    (tmp_path / "emma.html").touch()
    assert environment.git_state(tmp_path)["git_dirty"] is False
    (tmp_path / "code.py").write_text("changed")
    assert environment.git_state(tmp_path)["git_dirty"] is True
