"""Promise: configurations, recipes and other people's runs are data, and run no code."""
# ruff: noqa: E501  tables

import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab import UserError, load_sweep
from microgpt_lab.options import untrusted
from microgpt_lab.options.compose import compose
from microgpt_lab.run import checkpoint

SHORT = (
    "steps=3",
    "train_docs=200",
    "embed=8",
    "eval_docs=3",
    "samples=2",
    "hydra.run.dir=run",
    "backend=numpy",
)
CALL = "{_target_: os.system, command: touch CANARY}"

ARGUMENTS = {
    "a callback of Hydra": ["+hydra.callbacks.evil._target_=os.system"],
    "as a value": [f"+hydra.callbacks.evil={CALL}"],
    "in a part": ["+activation._target_=os.system"],
    "deep below": ["+a.b.c.d._target_=os.system"],
    "the launcher": ["hydra.launcher._target_=os.system", "-m"],
    "the sweeper": ["hydra.sweeper._target_=os.system", "-m"],
    "logging": ["+hydra.job_logging.handlers.evil.class=subprocess.Popen"],
    "logging as a value": ["hydra.hydra_logging={handlers: {evil: {class: subprocess.Popen}}}"],
    "another folder of configurations": ["--config-dir", "FOLDER"],
    "in short": ["-cd", "FOLDER"],
    "another main folder": ["--config-path=FOLDER"],
    "a search path": ["hydra.searchpath=[file://FOLDER]"],
    "a pickle": ["--experimental-rerun", "FOLDER/config.pickle"],
    "a part by its path": ["activation=../../FOLDER/activation/evil"],
    "a part by an absolute path": ["activation=FOLDER/activation/evil"],
    "a recipe by its path": ["experiment=../FOLDER/activation"],
    "a launcher by its path": ["-m", "hydra/launcher=../FOLDER/activation/evil"],
    "the environment": ["+hydra.job.env_set.LD_PRELOAD=evil.so"],
}


@pytest.mark.parametrize("what", ARGUMENTS)
def test_arguments_that_would_run_code_are_refused(lab, tmp_path, what):
    folder = tmp_path / "folder"
    (folder / "activation").mkdir(parents=True)
    (folder / "activation" / "evil.yaml").write_text(
        f"# @package _global_\nhydra:\n callbacks:\n  evil: {CALL}\n"
    )
    before = sorted(tmp_path.rglob("*"))
    arguments = [
        text.replace("FOLDER", str(folder)).replace("CANARY", str(tmp_path / "canary"))
        for text in ARGUMENTS[what]
    ]
    done = lab(*SHORT, *arguments, check=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert sorted(tmp_path.rglob("*")) == before


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)
FILES = {
    "a call": (f"evil: {CALL}", "_target_"),
    "a callback of Hydra": (f"hydra:\n callbacks:\n  evil: {CALL}", "names code"),
    "deep in lists": (f"a: [[[{{b: [{CALL}]}}]]]", "_target_"),
    "an escaped key": ('evil: {"\\x5ftarget_": os.system, command: touch CANARY}', "_target_"),
    "a dotted key": ("activation._target_: os.system", "_target_"),
    "logging": ("hydra:\n job_logging: {handlers: {evil: {class: subprocess.Popen, args: [touch, CANARY]}}}", "job_logging"),
    "a factory of logging": ('a: {"()": os.system, command: touch CANARY}', "'()'"),
    "a search path": ("hydra:\n searchpath: [file:///tmp]", "searchpath"),
    "a file beside the folder": ("defaults:\n - /activation: ../../evil", "is a path: write a name"),
    "an absolute file": ("defaults:\n - /etc/evil", "is a path: write a name"),
    "a YAML tag": ("a: !!python/object/apply:os.system [touch CANARY]", "could not determine a constructor"),
    "aliases that multiply": (BOMB, "has an alias"),
    "aliases of maps": ("a: &a {b: 1}\nc: {<<: *a}", "has an alias"),
    "brackets": ("a: " + "[" * 50_000, "deeper than 30"),
    "braces": ("a: " + "{a: " * 1000 + "1" + "}" * 1000, "deeper than 30"),
    "length": ("a: " + "x" * 300_000, "longer than 200,000"),
    "no YAML": ("a: [1, 2", "line 3: "),
    "an environment variable": ("dataset: {path: '${oc.env:CANARY_VALUE}'}", "is refused"),
    "a resolver that makes a call": (
        "hydra: {sweep: {dir: \"${oc.create:'{\\\"_tar\\x67et_\\\":\\\"os.system\\\"}'}\"}}", "is refused",
    ),
    "a resolver in a resolver": ("dataset: {path: '${oc.${either:env,x}:SECRET}'}", "is refused"),
    "a callback without a target": ("hydra: {callbacks: {evil: {a: 1}}}", "callbacks"),
    "the launcher": ("hydra: {launcher: {setup: [touch CANARY]}}", "hydra.launcher"),
    "another key of Hydra's": ("hydra: {output_subdir: ../canary}", "can only set hydra.mode, hydra.run"),
    "swept": ('hydra: {sweeper: {params: {"+hydra.job_logging.handlers.x": "{class: os.x}"}}}', "job_logging"),
    "swept values": ("hydra: {sweeper: {params: {activation: ../../evil}}}", "activation"),
}  # fmt: skip


@pytest.mark.parametrize("place", ["experiments/evil/recipe.yaml", "conf/activation/evil.yaml"])
@pytest.mark.parametrize("what", FILES)
def test_files_that_would_run_code_are_refused(lab, tmp_path, what, place):
    text, message = FILES[what]
    file = tmp_path / "home" / place
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\n{text}\n".replace("CANARY", str(tmp_path / "canary")))
    before = sorted(tmp_path.rglob("*"))
    asked = "experiment=evil" if "recipe" in place else "activation=evil"
    done = lab(*SHORT, asked, check=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("package", ["hydra.job.env_set", "hydra.job_logging", "hydra"])
def test_files_of_other_packages_are_refused(lab, tmp_path, package):
    file = tmp_path / "home" / "experiments" / "evil" / "recipe.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package {package}\nPATH: {tmp_path}\n")
    assert f"'# @package {package}'" in lab(*SHORT, "experiment=evil", check=2).stderr


def test_presets_in_a_linked_folder_are_checked_too(lab, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "evil.yaml").write_text("_target_: logging.FileHandler\n")
    (tmp_path / "home" / "conf").mkdir(parents=True)
    (tmp_path / "home" / "conf" / "optimizer").symlink_to(tmp_path / "elsewhere")
    assert "_target_" in lab(*SHORT, "optimizer=evil", check=2).stderr


DAMAGED = {
    "config.yaml": ["[1]", "{}", "a: [", ""],
    "overrides.yaml": ["[1, 2]", "{a: 1}"],
    "environment.json": ["[]", "{"],
    "summary.json": ["{", "[]"],
    "metrics.jsonl": ['{"loss/train": 1}\n', "[]\n", "{\n"],
}


@pytest.mark.thorough
def test_resume_of_damaged_files_has_no_traceback(lab, tmp_path):
    lab("-m", *SHORT, "seed=0,1", "hydra.sweep.dir=sweep", check=0)
    run = next((tmp_path / "sweep").glob("*seed=1*"))
    files = {file: file.read_bytes() for file in run.iterdir() if not file.name.startswith(".")}
    for name, texts in DAMAGED.items():
        for text in texts:
            for file, content in files.items():
                file.write_bytes(content)
            (run / "summary.json").unlink()  # as if the run had not finished
            (run / name).write_text(text)
            assert "Traceback" not in lab("resume", str(run)).stderr, (name, text)


@pytest.mark.parametrize("loader", [untrusted.LOADER, yaml.SafeLoader])
def test_a_control_character_in_yaml_is_named_in_one_line(monkeypatch, loader):
    monkeypatch.setattr(untrusted, "LOADER", loader)
    with pytest.raises(UserError, match=r"characters are not allowed$") as caught:
        untrusted.load("split: \x1b[2J", "recipe.yaml")
    assert "\n" not in str(caught.value)


def test_runs_from_others_are_data(tmp_path, lab):
    lab("-m", *SHORT, "seed=0,1", "hydra.sweep.dir=sweep", check=0)
    run = next((tmp_path / "sweep").glob("*seed=1*"))
    config = (run / "config.yaml").read_text()
    (run / "summary.json").write_text('{"status": "ok"}')  # beside a configuration, config.yaml is not read
    for text, message in (
        (BOMB, "has an alias"),
        ("a: !!python/object/apply:os.system [touch canary]", "constructor"),
    ):
        (run / "config.yaml").write_text(text)
        row = load_sweep(tmp_path / "sweep").loc[run.name]
        assert row["status"] == "damaged" and message in row["error"]
        assert message in lab("resume", str(run), check=2).stderr
    (run / "config.yaml").write_text(config.replace("us_names", "</script><script>\\e[2J\\u202e"))
    assert "\x1b" not in lab("report", "sweep").stdout


def test_a_pickle_is_a_damaged_checkpoint(lab, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/canary",)

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / checkpoint.CURRENT).write_bytes(pickle.dumps(Evil()))
    assert "is damaged" in lab("sample", "run", check=2).stderr
    assert not (tmp_path / "canary").exists()


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_yaml_or_a_one_line_error(text):
    try:
        content = untrusted.load(text, "the file")
    except UserError as error:
        assert str(error).startswith("the file")
    else:
        assert content == yaml.load(text, untrusted.LOADER) or content != content or "nan" in text.lower()


LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False)
LEAVES |= st.text(max_size=100)
TREES = st.dictionaries(st.text(max_size=9), LEAVES | st.lists(LEAVES, max_size=3), max_size=4)


@settings(max_examples=300, deadline=None)
@given(TREES, st.booleans())
def test_a_dumped_configuration_loads_unchanged(content, ascii):
    text = untrusted.dump(content, ascii=ascii)
    assert untrusted.load(text, "the file") == content and (text.isascii() or not ascii)


def test_a_configuration_is_the_same_text_with_and_without_libyaml():
    config = compose(["activation=gelu", "layers=2", "optimizer.lr=1e-5"])
    assert untrusted.dump(config) == yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
