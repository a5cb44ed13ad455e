"""Help, installation hints, and the output at the end of a run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import microgpt_lab
from microgpt_lab.commands import COMMANDS, main
from microgpt_lab.options.keys import OWNERS, option_descriptions, run_options
from microgpt_lab.registry import extras
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEYS, PARTS

ROOT = Path(__file__).parents[2]


def test_help_has_a_sentence_for_every_command_and_key(lab):
    shown = lab("--help", env={"COLUMNS": "100"}, check=0).stdout
    assert shown == lab("help", env={"COLUMNS": "100"}, check=0).stdout
    for name in (*COMMANDS, *(f"{key}=" for key in run_options())):
        assert re.search(rf"^  {re.escape(name)}\S* +\S+ \S+", shown, flags=re.MULTILINE), name
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert not re.search(r" $", shown, flags=re.MULTILINE)


def test_help_shows_the_options_of_the_chosen_parts(lab):
    shown = lab("optimizer=muon", "--help", check=0).stdout
    assert "optimizer.momentum=0.95" in shown and "optimizer.beta1=0.9 " in shown


@pytest.mark.parametrize(
    ("word", "lines"),
    [
        ("layers", ["  layers=1 "]),
        ("gelu", ["  activation=gelu ", "  activation.approximate=none"]),
        ("norm", ["  norm=dyt ", "  norm=layernorm ", "  norm=none ", "  norm=rmsnorm (default)"]),
        (
            "attention.window",
            ["  attention=differential ", "  attention=multihead (", "  attention.window=0 "],
        ),
        (
            "mlp.ratio",
            [
                *("  mlp=glu ", "  mlp.ratio=2.667 ", "  mlp=mlp (default)", "  mlp.ratio=4.0 "),
                *("  mlp=moe ", "  mlp.ratio=1.0 "),
            ],
        ),
        ("scheduler.every", ["  scheduler=step ", "  scheduler.every="]),
        ("vocab_size", ["  tokenizer=bpe ", "  tokenizer.vocab_size=256 "]),
        ("top_k", ["  mlp=moe ", "  mlp.top_k=1 ", "  sampler=multinomial (", "  sampler.top_k=0 "]),
        ("stream", ["  dataset=text ", "  dataset.unit=lines "]),
        ("experiment", ["  experiment=NAME "]),
    ],
)
def test_help_of_a_key_a_part_or_a_kind_shows_its_entries(lab, word, lines):
    shown = lab("help", word, env={"COLUMNS": "100"}, check=0).stdout
    rows = [line for line in shown.splitlines() if re.match(r"  \S", line)]
    assert all(row.startswith(line) for row, line in zip(rows, lines, strict=True))


def test_help_of_a_kind_says_where_its_options_are_explained(lab):
    assert lab("help", "attention", check=0).stdout.endswith(": python -m microgpt_lab plugins attention\n")


def test_every_option_of_the_lab_is_described_in_a_docstring():
    for owner in OWNERS.values():
        left = options_of(owner).keys() - option_descriptions(owner).keys()
        assert left <= {"seed", "block_size"}, owner  # of the corpus, described by their other owners
    for part in registry().parts.values():
        if part.provider.startswith("microgpt_lab_plugins."):
            assert options_of(part.make).keys() == option_descriptions(part.make).keys(), part


def test_descriptions_of_options_are_read_from_a_docstring():
    def part(x, *, one: int = 1, two: int = 2, three: int = 3, four: int = 4):
        """What it is, and of one: nothing here.

        Args:
            one: the first,
                continued.
            two, three: both.
        Note: no option.
        """

    assert option_descriptions(part) == {"one": "the first, continued.", "two": "both.", "three": "both."}


def test_descriptions_of_inherited_options_are_read_from_the_base_class():
    descriptions = option_descriptions(registry().get("attention", "multihead").make)
    assert descriptions["window"].startswith("number of tokens that each")  # of Heads
    assert descriptions["sinks"].startswith("add a learned logit for each head")  # its own


def test_help_of_a_command_and_the_version_are_printed(lab):
    assert "--top-k" in lab("help", "sample", check=0).stdout
    assert lab("--version", check=0).stdout == f"microgpt_lab {microgpt_lab.__version__}\n"


def test_help_does_not_import_hydra():
    code = "import sys; from microgpt_lab.commands import main; main(['--help'])"
    code += "; assert 'hydra' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_plugins_of_a_kind_describes_each_option(lab):
    shown = lab("plugins", "norm", check=0).stdout
    assert re.search(r"norm\.eps=1e-05 +added to", shown)


def test_plugins_marks_the_default_parts_and_shortens_long_fractions(lab):
    shown = lab("plugins", check=0).stdout
    marked = re.findall(r"^(\w+)=\w+ \(default\)", shown, flags=re.MULTILINE)
    assert set(marked) == {part.kind for part in registry().parts.values()}
    assert "attention=multihead (default)" in shown and " ratio=2.667\n" in shown


def test_a_table_in_a_terminal_has_no_trailing_spaces(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["plugins", "mlp"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[36mmlp=glu\x1b[0m" in shown and not re.search(r" (\x1b\[0m)?$", shown, flags=re.MULTILINE)


def test_synonyms_lead_to_existing_names():
    known = {*run_options(), *{part.kind for part in registry().parts.values()}}
    options = {f"{p.kind}.{name}" for p in registry().parts.values() for name in p.options}
    assert set(KEYS) <= known | options
    assert all(set(table) <= set(registry().names(kind)) for kind, table in PARTS.items())
    assert not {other for others in KEYS.values() for other in others.split()} & known


def test_hints_name_existing_extras_and_their_modules():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.EXTRAS) == set(project) - {"dev", "docs"}
    assert extras.install_module("pandas.core").endswith("[report]'")
    assert extras.install_module("jax").endswith("[jax]'")
    assert extras.install_module("hydra_plugins.hydra_joblib_launcher").endswith("[joblib]'")
    assert extras.install_module("flax") == "pip install flax"


def test_the_install_command_names_the_checkout_or_the_package(monkeypatch, tmp_path):
    monkeypatch.chdir(extras.CHECKOUT)
    assert extras.install("report") == "pip install -e '.[report]'"
    monkeypatch.chdir(tmp_path)
    assert extras.install("report") == f"pip install -e '{ROOT}[report]'"
    monkeypatch.setattr(extras, "CHECKOUT", None)
    assert extras.install("report") == "pip install 'microgpt-lab[report]'"


def environment_without(tmp_path, *modules):
    """Environment of a process in which these modules seem not to be installed."""
    hidden = tmp_path / "site"
    hidden.mkdir(exist_ok=True)
    lines = "import sys\n" + "".join(f"sys.modules[{module!r}] = None\n" for module in modules)
    (hidden / "sitecustomize.py").write_text(lines)
    return {"PYTHONPATH": f"{hidden}:{ROOT}"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "module", "message"),
    [
        (("backend=jax",), "jax", "backend=jax is unavailable: pip install -e '{root}[jax]'"),
        (("bench", "--against", "torch"), "torch", "--against torch needs pip install -e '{root}[torch]'"),
        (
            ("-m", "hydra/launcher=ray", "seed=1,2"),
            "hydra_plugins.hydra_ray_launcher",
            "hydra/launcher=ray needs pip install -e '{root}[ray]'",
        ),
    ],
)
def test_a_missing_module_is_named_with_its_install_command(tmp_path, arguments, module, message):
    env = environment_without(tmp_path, module)
    env |= {"MICROGPT_LAB_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-P", "-m", "microgpt_lab", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == f"error: {message.format(root=ROOT)}\n" and done.returncode == 2


SHORT = ("steps=4", "eval_docs=3", "train_docs=100", "samples=2", "embed=8", "eval_every=2", "backend=numpy")


def test_the_end_of_a_run_explains_its_numbers_and_prints_next_commands(lab, tmp_path):
    done = lab(*SHORT, "sampler.temperature=0.7", "hydra.run.dir=runs/mine", check=0).stdout
    assert "drawn at temperature 0.7; nll: negative log-likelihood in nats per token" in done
    assert "training loss " in done
    assert not [line for line in done.splitlines() if line.endswith(" ")]
    commands = [line.split() for line in re.findall(r"python -m microgpt_lab (.*)", done)]
    assert commands == [["sample", "runs/mine"], ["resume", "runs/mine", "steps=8"]]
    for command in commands:  # as printed, they work
        lab(*command, check=0)


def test_only_possible_next_commands_are_printed(lab):
    done = lab(*SHORT, "callback=[console]", check=0).stdout
    assert "run dir" in done and "tensorboard" not in done and "microgpt_lab sample" not in done


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("columns", "bar"), [(60, False), pytest.param(80, True, marks=pytest.mark.slow)])
def test_a_narrow_terminal_shows_the_numbers_without_the_bar(tmp_path, columns, bar):
    import pty

    main, other = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": str(columns), "LINES": "40", "NO_COLOR": "1"}
    env |= {"MICROGPT_LAB_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "microgpt_lab", *SHORT]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=other, stderr=other)
    os.close(other)
    shown = b""
    while True:
        try:
            read = os.read(main, 65536)
        except OSError:
            break
        if not read:
            break
        shown += read
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    lines = [line for line in re.split(r"[\r\n]+", text) if "4/4 loss" in line]
    assert lines and all(re.search(r"4/4 loss \d\.\d+ val \d\.\d+ [\d,]+ tok/s", line) for line in lines)
    assert all(len(line) <= columns for line in lines)
    assert all(("━" in line) == bar for line in lines)
