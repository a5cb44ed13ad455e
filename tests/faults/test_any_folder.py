"""Promise: a command that reads another person's run ends with a result or a one-line error.

Every place of every file takes every type that JSON has (`test_any_value_at_any_place_…`), and every file is
replaced by anything (`test_any_content_…`, `test_a_path_that_is_not_…`). No output contains control
characters.
"""

import contextlib
import math
import os
import shutil
import socket
import warnings

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pandas", reason="needs microgpt-lab[report]")

from foreign import (
    SHORT,
    assert_printable,
    changed,
    content_of,
    files,
    load_table,
    modified,
    paths_in,
    sweep_on_disk,  # noqa: F401  the fixture `sweep`
    tree_of,
)

from microgpt_lab import UserError, load_sweep
from microgpt_lab.commands import experiments, main, sample
from microgpt_lab.commands.resume import reopen
from microgpt_lab.options.compose import compose
from microgpt_lab.run import checkpoint
from microgpt_lab.run.resume import check_facts
from microgpt_lab.sweeps.folder import JobEntry

HOSTILE = ["\x1b[2J\x07", "\u202e", "</script><script>alert(1)</script>", "a\rb\nc", "\x9b31m", "\ud800"]
HOSTILE += ["x" * 3000, "${oc.env:HOME}", "1e999", "1e-3", "-", "..", "activation=\x1b]0;x\x07", '"\\x1b[2J"']
NUMBERS = [10**30, 10**400, -1, 1e300, math.inf, -math.inf, math.nan, 5e-324, 16.0, 2**63, True]


def deep(levels):
    tree = 1
    for level in range(levels):
        tree = [tree] if level % 2 else {"a": tree}
    return tree


VALUES = st.recursive(
    st.sampled_from([None, True, False, "", [], {}, *HOSTILE, *NUMBERS, deep(40), deep(400)])
    | st.integers()
    | st.floats()
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(HOSTILE), inner),
    max_leaves=6,
)


def run_commands(sweep, name, capsys):
    """Run the commands that read the file with this name. Each gives a result or a UserError."""
    run, recipe = sweep / "seed=1", sweep.parent / "home" / "experiments" / "theirs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if name in ("recipe.yaml", "expected.json"):
            assert experiments.show() == 0
            with contextlib.suppress(UserError):
                experiments.expected(recipe)
        elif name == checkpoint.BEST:
            with contextlib.suppress(UserError):
                sample.main([str(run), "--best", "-n", "1", "--seed", "1"])
        elif name == checkpoint.CURRENT:
            with contextlib.suppress(UserError):
                if saved := checkpoint.read(run, lambda line: None):
                    check_facts(saved)
            with contextlib.suppress(UserError):
                sample.main([str(run), "-n", "1", "--seed", "1"])
        else:
            load_table(sweep)
            for seed in range(3):
                entry = JobEntry(sweep, composed_once(seed))
                assert entry.folder in (None, *(sweep / f"seed={seed}" for seed in range(3)))
                entry.result()
            with contextlib.suppress(UserError):
                reopen(run, [], force=False)
    assert_printable(capsys.readouterr().out)


COMPOSED = {}


def composed_once(seed):
    if seed not in COMPOSED:
        COMPOSED[seed] = compose([*SHORT, f"seed={seed}"])
    return COMPOSED[seed]


def draw_change(sweep, data):
    """Draw a file's name and its content with one change; None if no file can contain the change."""
    name = data.draw(st.sampled_from(sorted(files(sweep).keys() - {"entry", "samples.txt"})))
    tree = tree_of(file := files(sweep)[name])
    path = data.draw(st.sampled_from(list(paths_in(tree))))
    how = data.draw(st.sampled_from(["value", "value", "value", "key", "gone"]))
    try:
        return name, content_of(file, modified(tree, path, how, data.draw(VALUES)))
    except (ValueError, RecursionError, yaml.YAMLError):
        return name, None


def check_any_value(sweep, capsys, data):
    name, content = draw_change(sweep, data)
    if content is not None:
        with changed(files(sweep)[name], content):
            run_commands(sweep, name, capsys)


SEVERAL = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.thorough
@settings(max_examples=50, **SEVERAL)
@given(data=st.data())
def test_any_value_at_any_place_has_a_defined_result(sweep, capsys, data):
    check_any_value(sweep, capsys, data)


@pytest.mark.slow
@settings(max_examples=5000, **SEVERAL)
@given(data=st.data())
def test_many_values_at_any_place_have_a_defined_result(sweep, capsys, data):
    check_any_value(sweep, capsys, data)


@pytest.mark.slow
@settings(max_examples=300, **SEVERAL)
@given(data=st.data())
def test_commands_end_with_an_exit_status(sweep, capsys, tmp_path_factory, data):
    """`report` and `resume` run to their end on a copy of the sweep."""
    name, content = draw_change(sweep, data)
    if content is None or name in ("recipe.yaml", "expected.json"):
        return
    copy = tmp_path_factory.mktemp("copy") / "sweep"
    shutil.copytree(sweep, copy)
    (copy / files(sweep)[name].relative_to(sweep)).write_bytes(content)
    if name != "summary.json":
        (copy / "seed=1" / "summary.json").unlink()  # as if the run had not finished
    for command in (["report", copy], ["resume", copy / "seed=1"], ["resume", copy / "seed=1", "--force"]):
        assert main([*map(str, command)]) in (0, 1, 2)
        assert_printable("".join(capsys.readouterr()))
    shutil.rmtree(copy)


CONTENTS = st.binary(max_size=60) | st.text(max_size=60).map(str.encode)
CONTENTS |= st.sampled_from(
    [b"", b"\0" * 100, b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"{}", b"null", b"[]", b"3", b"'"]
    + [
        b'{"step": [1], "loss/val": 2}\n',
        b'{"step": 1, "loss/val": "\x1b"}\n',
        b"a: &a 1\nb: *a",
        b"!!int ''",
    ]
    + [
        b"x: !!timestamp x",
        b"x: 2001-01-01",
        b"x: 0x" + b"f" * 5000,
        b"{? [1] : 2}",
        b"x: !!binary eA==",
        b"\xff",
    ]
    + [b"# @package _global_\n# \x1b[2J\n" + text for text in (b"3", b"hydra: 3", b"hydra: {sweeper: [1]}")]
    + [b"x" * 20_000_000, b"\xef\xbb\xbf{}", b"{" + b'"a": 1,' * 1000 + b'"b": 2}', b"-" * 5000]
)


@pytest.mark.thorough
@settings(max_examples=50, **SEVERAL)
@given(data=st.data())
def test_any_content_has_a_defined_result(sweep, capsys, data):
    name = data.draw(st.sampled_from(sorted(files(sweep))))
    with changed(files(sweep)[name], data.draw(CONTENTS)):
        run_commands(sweep, name, capsys)


def unix_socket(file):
    with socket.socket(socket.AF_UNIX) as opened:
        os.chdir(file.parent)  # because the path of a socket must be short
        opened.bind(file.name)


def sparse(file):
    with file.open("wb") as opened:
        opened.truncate(2**40)


NO_FILES = {
    "a pipe that nobody writes to": lambda file: os.mkfifo(file),  # Windows has none
    "a folder": os.mkdir,
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "a link in a circle": lambda file: file.symlink_to(file.name),
    "a link to nothing": lambda file: file.symlink_to("nothing"),
    "a socket": unix_socket,
    "a terabyte": sparse,
}


@pytest.mark.parametrize("what", NO_FILES)
def test_a_path_that_is_not_a_regular_file_is_damage(sweep, capsys, monkeypatch, what):
    monkeypatch.chdir(sweep)
    for name, file in files(sweep).items():
        with changed(file, NO_FILES[what]):
            run_commands(sweep, name, capsys)
            row = load_sweep(sweep).loc["seed=1"]
        read = name in ("config.yaml", "overrides.yaml", "environment.json", "summary.json", "metrics.jsonl")
        if read and what != "a link to nothing":
            assert row["status"] == "damaged" and row["error"].startswith(f"{name} "), row["error"]
