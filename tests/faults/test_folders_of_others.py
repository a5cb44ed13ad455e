"""Promise: a command on another person's folder gives a result or a one-line error, and writes only there."""

import json
import math
import os
import shutil
import warnings
from array import array

import pytest

pytest.importorskip("pandas", reason="needs microgpt-lab[report]")

from foreign import (
    assert_printable,
    changed,
    encoded,
    load_table,
    sweep_on_disk,  # noqa: F401  the fixture `sweep`
)

from microgpt_lab import UserError, load_sweep
from microgpt_lab.commands import resume, sample
from microgpt_lab.commands.resume import reopen
from microgpt_lab.options.compose import compose
from microgpt_lab.run import checkpoint
from microgpt_lab.run.resume import changes, check_facts
from microgpt_lab.sweeps.table import curve


def test_a_damaged_folder_is_a_row_with_its_setting(sweep):
    with changed(sweep / "seed=1" / "summary.json", b'{"status": "ok", "seconds": "\\u001b[2J"}'):
        frame = load_table(sweep)
        assert frame.loc["seed=1", "status"] == "damaged" and frame.loc["seed=1", "seed"] == 1
        assert frame.loc["seed=1", "error"] == "summary.json: expected float | null, got str, at $.seconds"
    with changed(sweep / "seed=1" / "overrides.yaml", b"3"):
        assert load_table(sweep).loc["seed=1", "status"] == "damaged"
        with changed(
            sweep / "seed=1" / "config.yaml", b"3"
        ):  # and the run does not decide which keys are swept
            assert load_table(sweep).attrs["swept"] == ["seed"]
    with changed(sweep / "seed=1" / "summary.json", b'{"status": "ok", "loss/val": Infinity}'):
        assert "JSON is malformed" in load_table(sweep).loc["seed=1", "error"]


def test_config_yaml_is_read_only_if_the_summary_has_no_configuration(sweep):
    config, frame = sweep / "seed=1" / "config.yaml", load_table(sweep)
    whole = config.read_bytes()
    with changed(config, whole):  # and the summary's configuration is gone
        assert load_table(sweep).equals(frame) and load_table(sweep).attrs == frame.attrs
    try:
        config.write_bytes(b"[")
        assert load_table(sweep).equals(frame)
        with changed(sweep / "seed=1" / "summary.json", b"["):
            errors = load_table(sweep).loc["seed=1", "error"]
            assert "summary.json" in errors and "config.yaml" in errors
    finally:
        config.write_bytes(whole)


def test_files_and_keys_may_be_missing_or_unknown(sweep):
    """Files and keys may be missing, and unknown ones are allowed."""
    run = sweep / "seed=1"
    for name in ("config.yaml", "overrides.yaml", "environment.json", "metrics.jsonl", "samples.txt"):
        with changed(run / name, lambda file: None):
            assert load_table(sweep).loc["seed=1", "status"] == "ok", name
    for name, text in (("summary.json", b'{"mine": 1, "x": [], "y": null}'), ("environment.json", b"{}")):
        with changed(run / name, text):
            assert load_table(sweep).loc["seed=1", "status"] in ("ok", "unfinished"), name
    with changed(run / "config.yaml", lambda file: None), changed(run / "overrides.yaml", lambda file: None):
        assert list(load_sweep(sweep).index) == ["seed=0", "seed=2"]


def test_keys_are_shown_with_escapes(sweep):
    """This holds for keys of configurations, overrides, environments and figures, for status and error."""
    key = "\x1b[2J\u202e"
    for name, content in {
        "config.yaml": {key: 1, "activation": {"name": "gelu", key: key}},
        "overrides.yaml": [f"{key}=1", f"seed={key}", f'layers="\\e{key[1:]}"'],
        "environment.json": {"platform": key, "packages": {key: key}, key: {key: [key]}},
        "summary.json": {key: 1, "status": key, "error": key},
    }.items():
        with changed(sweep / "seed=0" / name, json.dumps(content).encode()):
            frame = load_table(sweep)
            shown = repr([frame.columns, frame.to_dict(), frame.attrs])
            assert "\\x1b[2J\\u202e".encode("unicode_escape").decode() in shown, name


def test_a_number_that_python_cannot_print_is_damage(sweep):
    for number in ("0x" + "f" * 5000, "1:" * 3000 + "1", "9" * 5000):
        for name in ("config.yaml", "overrides.yaml"):
            text = f"[seed={number}]" if name == "overrides.yaml" else f"seed: {number}"
            with changed(sweep / "seed=1" / name, text.encode()):
                assert load_table(sweep).loc["seed=1", "status"] == (
                    "damaged" if name == "config.yaml" else "ok"
                )
                with pytest.raises(UserError):
                    reopen(sweep / "seed=1", ["steps=9"], force=True)


def test_deep_nesting_is_damage(sweep):
    for levels in (31, 480, 900, 100_000):
        deep = '{"x": ' + '{"a": ' * levels + "1" + "}" * (levels + 1)
        for name in ("environment.json", "summary.json", "metrics.jsonl", "config.yaml", "overrides.yaml"):
            with changed(sweep / "seed=1" / name, f"{deep}\n".encode()):
                frame = load_table(sweep)
            if name != "metrics.jsonl" or levels == 100_000:  # unused keys of a line are skipped
                assert frame.loc["seed=1", "status"] == "damaged", (name, levels)


def test_an_unknown_key_does_not_replace_a_figure(sweep):
    """Neither a key of the configuration nor a figure of another type replaces one."""
    for name, text in (
        ("overrides.yaml", b"[loss/val=1, status=ok, parameters=x, seed=1]"),
        ("config.yaml", b"{loss/val: x, status: 3, seconds: {a: x}, seed: 1}"),
    ):
        with changed(sweep / "seed=1" / name, text):
            frame = load_table(sweep)
            assert frame.attrs["swept"] == ["seed"] and frame["parameters"].sum() == 3 * 1328
    first, second = (sweep / f"seed={seed}" / "summary.json" for seed in (1, 2))
    with changed(first, b'{"samples_new": null, "mine": "x"}'), changed(second, b'{"mine": 2}'):
        assert list(load_sweep(sweep)["mine"].dropna()) == [2]


def test_the_name_of_a_folder_is_shown_with_escapes(sweep):
    hostile = sweep / "seed=1\x1b[2J\u202e"
    (sweep / "seed=1").rename(hostile)
    try:
        assert load_sweep(sweep).loc["seed=1\\x1b[2J\\u202e", "status"] == "ok"
        assert curve(sweep / "seed=1\\x1b[2J\\u202e", "loss/val").keys() == {2, 4}
    finally:
        hostile.rename(sweep / "seed=1")


def test_weights_that_are_not_finite_are_refused(sweep, capsys):
    file = sweep / "seed=1" / checkpoint.CURRENT
    facts, numbers = checkpoint.decode(file.read_bytes())
    for wrong in (-math.inf, 1e300, math.nan):
        numbers[5] = wrong
        with changed(file, encoded(facts, numbers)), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with pytest.raises(UserError, match="weights are not finite, or beyond 1e77"):
                sample.main([str(file.parent), "-n", "3"])
    with changed(file, encoded(facts, numbers)):
        shutil.copytree(file.parent, file.parents[2] / "nan", ignore=lambda *_: ["summary.json"])
    with pytest.raises(UserError, match="weights are not finite"):
        resume.main([str(file.parents[2] / "nan"), "--force"])


def test_checkpoints_with_wrong_facts_are_a_one_line_error(sweep, capsys):
    """The length and the checksum of these checkpoints are right."""
    file = sweep / "seed=1" / checkpoint.CURRENT
    whole = file.read_bytes()
    facts, numbers = checkpoint.decode(whole)
    config, zeros = facts["config"], array("d", bytes(8 * len(numbers)))
    still = {"norm": {"name": "rmsnorm", "eps": 0.0}, "backend": {"name": "python"}}
    huge = still | {"activation": {"name": "leaky_relu", "slope": 10**400}}
    for message, wrong in {
        "it has no facts": [],
        r"position.wpe is \(16, 8\), not \(17, 8\)": facts | {"config": config | {"block_size": 17}},
        r"wte is \(27, 8\), not \(28, 8\)": facts
        | {"tokenizer": {"tokens": [*facts["tokenizer"]["tokens"], "?"]}},
        "make a table of 8.0e": facts | {"config": config | {"block_size": 10**9}},
        "KeyError 'sampler'": facts | {"config": {k: v for k, v in config.items() if k != "sampler"}},
        "sampler is {'name': 1}": facts | {"config": config | {"sampler": {"name": 1}}},
        "layers is 1.0": facts | {"config": config | {"layers": 1.0}},
        "cannot sample from .*: the logits are not finite": facts | {"config": config | still},
        "OverflowError": facts | {"config": config | huge},
    }.items():
        with changed(file, encoded(wrong, zeros)), pytest.raises(UserError, match=message):
            sample.main([str(file.parent), "-n", "1"])
    deep = {"x": 1}
    for _ in range(100):
        deep = {"x": deep}
    with pytest.raises(UserError, match="too deep"):
        check_facts(checkpoint.Saved(facts | {"config": deep}, numbers, file.name))
    with pytest.raises(UserError, match="surrogates not allowed"):
        check_facts(checkpoint.Saved(facts | {"\ud800": 1}, numbers, file.name))
    with pytest.raises(UserError, match="seconds"):
        check_facts(checkpoint.Saved(facts | {"seconds": math.nan}, numbers, file.name))

    def sparse(path):
        path.write_bytes(whole)
        os.truncate(path, 2**40)

    with changed(file, sparse), pytest.raises(UserError, match="it has 1,099,511,6"):
        sample.main([str(file.parent)])
    (file.parent / checkpoint.PREVIOUS).write_bytes(encoded([], numbers))
    with changed(file, whole[:-1]), pytest.raises(UserError, match="it has no facts"):
        sample.main([str(file.parent)])
    (file.parent / checkpoint.PREVIOUS).unlink()


WRITTEN = ("log.txt", "metrics.jsonl", "samples.txt", "summary.json.part", "checkpoint.bin.part", ".lock")
WRITTEN += ("diagnostics.jsonl", "checkpoint.best.bin", "checkpoint.best.bin.part")


@pytest.mark.parametrize("name", WRITTEN)
def test_a_run_does_not_write_through_links(sweep, tmp_path, name):
    """`resume` writes into the files of another person's folder only if these are regular files."""
    (tmp_path / "mine").write_text("precious")
    shutil.copytree(sweep / "seed=1", tmp_path / "run")
    (tmp_path / "run" / name).unlink(missing_ok=True)
    for put_there in (lambda path: path.symlink_to(tmp_path / "mine"), os.mkfifo, os.mkdir):
        put_there(tmp_path / "run" / name)
        held = reopen(tmp_path / "run", [], force=True).exclusive()
        with pytest.raises(UserError, match="not a regular file"), held:
            pass
        (tmp_path / "run" / name).rmdir() if put_there is os.mkdir else (tmp_path / "run" / name).unlink()
    assert (tmp_path / "mine").read_text() == "precious"


TYPES = {
    "embed: 8\n": {
        "embed: 8.0\n": "embed=8.0: write an integer, such as embed=16",
        "embed: '8'\n": "embed='8': write an integer, such as embed=16",
        "embed: [8]\n": "embed=[8]: write an integer, such as embed=16",
        "embed: true\n": "embed=True: write an integer, such as embed=16",
    },
    "lr: 0.01\n": {"lr: x\n": "optimizer.lr='x': write a number, such as optimizer.lr=0.01"},
    "tie_embeddings: false\n": {"tie_embeddings: 1\n": "tie_embeddings=1: write true or false"},
}


def test_a_value_of_a_wrong_type_is_a_one_line_error(sweep):
    file = sweep / "seed=1" / "config.yaml"
    text = file.read_text()
    for old, wrong in TYPES.items():
        assert old in text
        for new, message in wrong.items():
            with changed(file, text.replace(old, new).encode()), pytest.raises(UserError) as error:
                reopen(file.parent, [], force=False)
            assert str(error.value) == f"{file}: {message}"
    assert "name: relu\n" in text
    odd = text.replace("name: relu\n", "name: relu\n  1: 2\n").encode()
    with changed(file, odd), pytest.raises(UserError, match="activation must be chosen with"):
        reopen(file.parent, [], force=False)
    with changed(file, text.replace("lr: 0.01", "lr: 1e-2").encode()):  # YAML reads it as a string
        assert reopen(file.parent, [], force=False).config["optimizer"]["lr"] == 0.01


def test_a_change_of_type_alone_is_shown():
    assert changes({"embed": "16", "lr": 1}, {"embed": 16, "lr": 1.0}) == ["embed was '16', is 16"]


def test_options_of_a_part_that_another_one_replaces_are_not_listed():
    before, now = compose([]), compose(["sampler=greedy", "norm=layernorm"])
    assert changes(before, now) == ["norm was rmsnorm, is layernorm", "sampler was multinomial, is greedy"]
    assert changes({"package": {"a": 1}}, {"package": {}}) == ["package.a was 1, is None"]


def test_recipes_of_others_are_rows(lab, tmp_path):
    home = tmp_path / "home" / "experiments"
    for name, files in {
        "a\x1b[2J[red]": {"recipe.yaml": "# @package _global_\n# \x1b]0;title\x07\u202e[bold]Which?\n"},
        "bad": {"recipe.yaml": "# @package _global_\n# Why?\n", "expected.json": '{"seconds": "\x1b"}'},
        "bare": {"recipe.yaml": "steps: 1", "expected.json": '{"check": {"overrides": 1}}'},
    }.items():
        (home / name).mkdir(parents=True)
        for file, text in files.items():
            (home / name / file).write_text(text)
    (home / "pipe").mkdir()
    os.mkfifo(home / "pipe" / "recipe.yaml")
    shown = lab("experiments", check=0).stdout
    assert "a\\x1b[2J[red]" in shown and "\\x1b]0;title\\x07\\u202e[bold]Which?" in shown
    assert "damaged: " in shown and "microgpt-243" in shown and "pipe" not in shown
    assert_printable(shown)
    (line,) = lab("experiments", "check", "bare", check=2).stderr.splitlines()
    assert line.endswith("expected.json: expected array, got int, at $.check.overrides")


def test_a_recipe_is_checked_without_a_tolerance(lab, tmp_path):
    recipe = tmp_path / "home" / "experiments" / "theirs"
    recipe.mkdir(parents=True)
    (recipe / "recipe.yaml").write_text("# @package _global_\n")
    wanted = {"overrides": ["steps=1", "eval_docs=2", "samples=0", "backend=numpy"]}
    for figures in ({"loss/val": 1, "status": 1}, {}):
        (recipe / "expected.json").write_text(json.dumps({"check": wanted | {"figures": figures}}))
        done = lab("experiments", "check", "theirs")
        assert done.returncode == (1 if figures else 2) and "Traceback" not in done.stderr
        assert not figures or "✗ status nan, expected 1.000000 ± 1e-06" in done.stdout
