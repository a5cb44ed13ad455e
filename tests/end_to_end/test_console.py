"""The header of a run, in a pipe and on terminals of several widths."""

import re
import sys
from importlib import import_module
from io import StringIO

import pytest
from rich.console import Console as Screen

from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run

registry()
console = import_module("microgpt_lab_plugins.callbacks.console.header")

SHORT = ("backend=numpy", "eval_docs=3", "samples=2", "embed=8", "callback=[console]", "hydra.run.dir=run")
# In a new process, which has nothing in memory of earlier commands.
ALONE = [sys.executable, "-P", "-m", "microgpt_lab"]
MANY = [
    "mlp=moe",
    "loss=z_loss",
    "position=rope",
    "norm=layernorm",
    "norm.gain=true",
    "layers=2",
    "bias=true",
]
MANY += ["block=sandwich_norm", "final_norm=true", "embed_scale=2", "attention.qk_norm=true", "backend=numpy"]


def test_a_pipe_gets_a_line_for_each_group_of_facts(lab):
    lines = lab(*SHORT, "steps=0", command=ALONE, check=0).stdout.splitlines()
    name, model, flops, data, needs, git, *rest = lines
    assert name.startswith("backend=numpy,eval_docs=3")
    kinds = "embedding 216, position 128, attention 256, mlp 512, head 216"
    assert model == f"  model  1,328 parameters: {kinds}"
    assert re.fullmatch(r"  needs  about \d\d MB of memory", needs)
    assert re.fullmatch(r"  FLOPs  \d\.\d+ k per token, forward and backward", flops)
    assert data.startswith("  data   us_names 32,257 docs, split zero2hero ") and git.startswith("  git    ")
    assert not any("cross-entropy" in line for line in rest)


def test_the_header_says_about_how_long_a_run_takes(lab):
    run = lab(*SHORT, "steps=3", "backend=python", command=ALONE, check=0)
    needs = run.stdout.splitlines()[4]
    assert re.fullmatch(r"  needs  about \d\d MB of memory, about [12]s on backend=python", needs)


def test_a_run_says_what_it_minimizes_if_it_is_more_than_the_cross_entropy(lab):
    lines = lab(
        *SHORT, "steps=2", "mlp=moe", "loss=label_smoothing", "samples=0", check=0
    ).stdout.splitlines()
    minimized = "cross-entropy + penalty + balance"
    assert f"  loss   {minimized} in training, cross-entropy alone in validation" in lines
    assert any(line.startswith(f"training loss ({minimized}) 3.") for line in lines)
    assert not any("sample  nll" in line for line in lines), "a table of no samples"


def test_a_pipe_is_told_once_how_long_the_training_will_take(tmp_path, monkeypatch, capsys):
    """After two seconds, if no other line has said it until then."""
    monkeypatch.setattr(import_module("microgpt_lab_plugins.callbacks.console"), "FIRST", 0)
    execute(Run(compose([*SHORT[:-1], "steps=30", "eval_every=10", "train_docs=50"]), tmp_path / "run"))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith((" steps", " left"))]
    assert re.fullmatch(r"  time   about \d+s for the other 29 steps", lines[0])
    assert [line.split()[1] for line in lines[1:]] == ["10/30", "20/30", "30/30"]


@pytest.fixture(scope="module")
def header():
    """The header of a run with many overrides, on a terminal of this width: its lines, and its facts."""
    config = compose(MANY)
    documents = load_documents(config)
    trainer = assemble(config, documents)

    def shown(width, folder):
        run = Run(config, folder, MANY, flops_per_token=24_096)
        run.environment = run.describe_environment(documents, trainer)
        rows = console.header_rows(run, trainer)
        screen = Screen(width=width, file=StringIO(), record=True)
        screen.print(console.panel(run, rows, width))
        return screen.export_text().splitlines(), [fact for facts in rows.values() for fact in facts]

    return shown


@pytest.mark.parametrize("width", [60, 80, 120, 250])
def test_a_terminal_shows_every_fact_and_override_unbroken(header, tmp_path, width):
    lines, facts = header(width, tmp_path)
    assert max(map(len, lines)) <= width
    for text in (*facts, *MANY):
        assert any(text in line for line in lines), text
    assert (",".join(MANY) in lines[0]) == (width == 250)  # the title, where it fits
