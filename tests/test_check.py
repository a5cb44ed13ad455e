"""`check` says what a part breaks, with the smallest input that breaks it; `tests_of` does so in pytest."""

import os
import re
import signal
import sys
import types
from pathlib import Path
from typing import Literal

import broken_kinds
import pytest

from microgpt_lab import UserError, at_least
from microgpt_lab.checks import cases, options
from microgpt_lab.checks.targets import plugins_at
from microgpt_lab.commands import check as command
from microgpt_lab.ops import sigmoid
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import only
from microgpt_lab.testing import check, checks_of, parts_of

# What is said of the parts in broken_kinds.py, where … stands for any text.
SAID = {
    "activation=root": "not finite: the result for 0.0 is nan",
    "norm=whitening": "not length-free: a part must not read the number of tokens: declare tables(gpt), …",
    "position=clock": "not length-free: a part must not read the number of tokens: declare tables(gpt), …",
    "attention=bidirectional": "peeks at later tokens: changing token 1 changed the logits of token 0, in a "
    "document of 2 tokens",
    "weighting=rectified": "not finite: a weight, where scores are 0, of 1 token",
    "mlp=residue": "dead weight: layer0.mlp.fc1 receives no gradient",
    "block=hasty": "a block calls attention and mlp once each, but layer0.mlp is called 0 times",
    "init=wild": "not repeatable: other numbers for Shape(out=1, in_=1, …) from an equal generator: draw "
    "from `rng` alone",
    "loss=shared": "mixes tokens: another target of token 0 changes the loss of tokens [0, 1], in a document "
    "of 2 tokens",
    "optimizer=counting": "a second update with the same arguments gives other weights: keep all state in "
    "`state` (weights (1, 1), role embedding)",
    "scheduler=overshoot": "the factor at step 2 of 3 is -0.4…, not from 0 to 1",
    "dataset=draws": "a second call returns other documents: use a random generator with a fixed seed "
    "(document 0 was '0.…', then '0.…')",
    "tokenizer=words": r"lossy: decode(encode(text)) is '' for '\t'",
    "sampler=eager": "not a token: it chose 4 from [0, 1, 2, 3]",
    "backend=rounding": "a result or gradient of the operation 'add' is 3.98…, but 3.98… on the python "
    "backend",
    "callback=nosy": "changes numbers: samples at the end is … with it and … without",
}
PARTS = parts_of(broken_kinds)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind}={part.name}")
def test_a_broken_part_of_each_kind_is_told_what_it_breaks(part):
    with only(broken_kinds), pytest.raises(AssertionError) as caught:
        check(part)
    name = f"{part.kind}={part.name}"
    assert re.fullmatch(re.escape(f"{name}: {SAID[name]}").replace("…", ".*"), str(caught.value)), (
        caught.value
    )


def test_there_is_a_broken_part_of_each_kind():
    assert [part.kind for part in PARTS] == list(KINDS)


def error_of(part, name):
    """What the check of this name says."""
    with pytest.raises(AssertionError) as caught:
        next(each for each in checks_of(part) if each.name == name).run()
    return str(caught.value)


def test_each_check_says_what_it_finds_also_if_another_is_broken():
    """The smallest model and the fewest steps in which losses differ; the first state that JSON lacks."""
    parts = {part.kind: part for part in PARTS}
    numpy = error_of(parts["optimizer"], "same losses on numpy")
    assert numpy.endswith("on the python backend (steps=2, layers=1, batch_size=1, dropout=0.0)")
    state = "callback=nosy: state_dict must return what JSON has: Object of type set is not JSON serializable"
    assert error_of(parts["callback"], "state") == state
    cached = (
        "position=clock: wrong with a cache: in pieces of 1, 1 tokens, token 1 has other logits than in the"
    )
    assert error_of(parts["position"], "cached = whole").startswith(cached)


PLUGIN = '''
from microgpt_lab import hookimpl

def twice(x, *, by: float = 2.0):
    """x · by."""
    return x * by

@hookimpl
def activations():
    return [twice]
'''
# A file, and what is said of it.
PAGE = (Path(__file__).parents[1] / "docs" / "checking.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", PAGE, flags=re.S | re.M)
LEAKY, SEEN = (next(block for block in BLOCKS if word in block) for word in ("hookimpl", "held"))


def test_the_command_prints_what_a_file_breaks(lab, tmp_path):
    (tmp_path / "leaky.py").write_text(LEAKY)
    done = lab("check", "leaky.py", check=1)
    assert done.stdout.startswith(SEEN)
    assert re.search(r"\n\d+ held, \d+ broken, in \d+\.\d s\n$", done.stdout)
    assert not done.stderr


def test_the_command_succeeds_where_everything_holds(lab, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    done = lab("check", "mine.py", check=0)
    assert "broken\n" not in done.stdout and ", none broken, in " in done.stdout
    assert lab("check", "nothing", check=2).stderr.startswith("error: 'nothing' is no part, file, folder or")


MISTAKES = {
    "softpluss": "'softpluss' is no part, file, folder or module; did you mean 'softplus'?",
    "activation": "'activation' is no part, file, folder or module; it is a kind of part: write "
    "activation=NAME",
    "activation=gleu": "activation=gleu is unknown; did you mean 'gelu'?",
    "actviation=gelu": "'actviation=gelu' is no part, file, folder or module: 'actviation' is not a kind of "
    "part; did you mean 'activation'?",
    "tanhh.py": "'tanhh.py' is no part, file, folder or module",
    "sigmoid": "there are 2 parts called 'sigmoid': write activation=sigmoid or weighting=sigmoid",
    "json": "json defines no part: it needs a function such as activations() or norms() with @hookimpl",
    "empty": "empty defines no part: it needs a function such as activations() or norms() with @hookimpl",
    "raises.py": "raises.py cannot be imported: ZeroDivisionError: division by zero (raises.py:2)",
    "misnamed.py": "misnamed.py: unknown hook 'activation' …",
    "broken": "… cannot be read: 'str' object has no attribute 'get'",
    "x" * 300: "'xxx…' is no part, file, folder or module …",
    "": "'' is no part, file, folder or module …",
}


@pytest.mark.parametrize("target", MISTAKES)
def test_a_target_that_cannot_be_checked_is_a_line(target, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pyproject.toml").write_text('project = "x"\n')
    (tmp_path / "raises.py").write_text("\n1 / 0\n")
    (tmp_path / "misnamed.py").write_text(PLUGIN.replace("activations", "activation"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(UserError) as caught:
        command.parts_named(target)
    assert re.fullmatch(re.escape(MISTAKES[target]).replace("…", ".*"), str(caught.value)), caught.value


def names_at(path):
    return [part.name for plugin in plugins_at(path) for part in parts_of(plugin)]


def test_plugins_are_found_in_files_folders_packages_and_projects(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder, package, project = (tmp_path / name for name in ("folder", "package_of_twice", "project"))
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(
        "from .helper import twice\n" + PLUGIN.replace("def twice", "def other")
    )
    (package / "unrelated.py").write_text("1 / 0")  # it offers no part, so nothing imports it
    (package / "helper.py").write_text("def twice(x):\n    '''2 x.'''\n    return x * 2.0\n")
    assert names_at(package) == names_at(package / "parts.py") == ["twice"]
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(PLUGIN.replace("twice", name))
    assert names_at(folder) == ["one", "two"] and names_at(folder / "two.py") == ["two"]
    (project / "src" / "project_of_three").mkdir(parents=True)
    (project / "src" / "project_of_three" / "__init__.py").write_text(PLUGIN.replace("twice", "three"))
    entry = '[project.entry-points.microgpt_lab]\nthree = "project_of_three"\n'
    (project / "pyproject.toml").write_text(entry)
    assert names_at(project) == ["three"]


def test_a_name_of_the_labs_own_is_refused():
    def gelu(x):
        """Another GELU."""
        return x

    with pytest.raises(
        AssertionError, match=r"^activation=gelu: the lab itself has a part of this name: name"
    ):
        check(Part("activation", "gelu", gelu, "tests"))


def test_options_are_tried_one_by_one_and_all_flags_together():
    def some(
        *,
        bias: bool = False,
        gain: bool = True,
        width: int = 2,
        rate: float = 0.1,
        form: Literal["u", "v"] = "u",
        word: str = "",
    ):
        """Options of each type."""

    one_by_one = [{"bias": True}, {"gain": False}, {"width": 1}, {"width": 3}, {"rate": 0.5}, {"form": "v"}]
    part = Part("mlp", "some", some, "tests")
    assert list(cases.variants(part)) == [*one_by_one, {"bias": True, "gain": False}]


def steep(x, *, power: float = 2.0):
    """x sigmoid(power x)."""
    at_least(1, power=power)
    return x * sigmoid(x * power)


def test_a_function_may_refuse_an_option_when_it_is_called():
    for each in checks_of(Part("activation", "steep", steep, "tests")):
        if each.name in ("shapes", "length-free", "cached = whole", "same losses on numpy"):
            each.run()


def test_the_line_of_an_error_is_one_of_the_part_not_of_the_lab_beside_it():
    """A part in the folder of a checkout, or of installed packages, has the lab below the same folder."""
    beside = Path(__file__).parents[1] / "README.md"  # a file that exists, and needs no import
    module = types.ModuleType("leaky")
    exec(compile(LEAKY, str(beside), "exec"), vars(module))
    (part,) = parts_of(module)
    said = error_of(part, "element by element")
    assert said.startswith("activation=leaky: the result for a single Value(-1.0) is -0.1, but"), said
    assert error_of(part, "alone = in a batch").endswith(" (README.md:6)")


def endless(*, documents: int = 10):
    """Numbers."""
    return [str(i) for i in range(documents)]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer of CPU time")
def test_a_number_that_takes_forever_is_told_to_be_refused(monkeypatch):
    monkeypatch.setattr(options, "SECONDS", 1)
    with pytest.raises(
        AssertionError, match=r"^dataset.documents=1000000000: a run of 3 steps of a tiny model"
    ):
        options.check_options(Part("dataset", "endless", endless, "tests"))


class Interrupts:
    """Presses Ctrl-C."""

    def step_finished(self):
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_a_run_ends_the_check():
    with pytest.raises(KeyboardInterrupt):
        check(Part("callback", "interrupts", Interrupts, "tests"))


def test_every_check_is_explained():
    rows = re.findall(r"^\| ([^|]+) \|(.*)", PAGE, flags=re.M)
    of_all, of_kinds = {name.partition(" on ")[0] for name, _ in rows}, dict(rows)
    for each in (each for part in PARTS for each in checks_of(part)):
        name = each.name.partition(" on ")[0]
        assert name in of_all or f"**{name}" in of_kinds[each.part.kind], str(each)
