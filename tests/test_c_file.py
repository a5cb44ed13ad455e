"""export --c: the C file trains as the run did, from the first weight to the last sample."""

import importlib
import json
import shutil
import subprocess

import pytest

from microgpt_lab import UserError
from microgpt_lab.commands.export import main as export
from microgpt_lab.exchange.c_file import documents, numbers
from microgpt_lab.exchange.c_file.literals import string, used
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import part
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
SHORT = ("backend=numpy", "steps=6", "batch_size=3", "eval_docs=2", "samples=10", "callback=[jsonl]")
STRICT = ("-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-std=gnu11")


def lab_flags():
    """Flags with which the lab compiles steps, but for those of a library."""
    build = importlib.import_module(f"{type(part('backend', 'c')).__module__}.build")
    return [flag for flag in build.flags() if flag not in ("-shared", "-fPIC")]


def trained(folder, *overrides):
    """Losses of all steps, and samples, of a run in this folder."""
    summary = execute(Run(compose([*SHORT, *overrides]), folder))
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss/train"] for line in lines if "loss/train" in line], summary["samples"]


def compiled(folder, *flags):
    """Losses and samples that the exported file prints."""
    subprocess.run(["cc", *flags, folder / "microgpt.c", "-o", folder / "program", "-lm"], check=True)
    shown = subprocess.run([folder / "program"], check=True, capture_output=True).stdout
    steps, *samples = shown.decode(errors="replace").removesuffix("\n").split("\nsample ")
    losses = [float(line.split(" loss ")[1]) for line in steps.splitlines()]
    return losses, [sample.partition(": ")[2] for sample in samples]


def check(folder, overrides, *all_flags):
    losses, samples = trained(folder / "run", *overrides.split())
    assert export([str(folder / "run"), "--c", str(folder / "c")]) == 0
    single = "precision=float32" in overrides
    for flags in all_flags:
        found = compiled(folder / "c", *flags)
        exact = 1e-5 if single else 1e-9 if flags == STRICT else 1e-12
        assert found[0] == pytest.approx(losses, rel=0, abs=exact)
        assert found[1] == samples


def test_it_prints_the_losses_and_samples_of_the_run(tmp_path):
    check(tmp_path, "dropout=0.2 attention.dropout=0.1 mlp.ratio=2 sampler.top_k=5 sampler.top_p=0.9", STRICT)


def test_weights_that_are_no_normal_numbers_are_data(tmp_path):
    """And so are documents that are not of printable characters."""
    wanted = "dataset=icelandic_names tokenizer=byte init=orthogonal position=rope scheduler=cosine"
    check(tmp_path, wanted, lab_flags())


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        "backend=python steps=3",
        "model=llama layers=2 attention.kv_heads=2 train_docs=7",
        "model=gpt2 dropout=0.1 grad_clip=0.5 tie_embeddings=true accumulate=2",
        "model=nanochat attention.window=4 sampler=greedy",
        "optimizer=muon mlp=moe loss=z_loss",
        "dataset=shakespeare tokenizer=bpe block_size=12",
        "dataset=unicode_names long_docs=window position=alibi",
        "attention=differential block=post_norm optimizer=lion seed=99999999999999999999",
        "backend=c backend.precision=float32 weighting=relu2 activation=gelu",
        "attention=linear position=none sampler.min_p=0.1 scheduler=wsd optimizer=adagrad",
    ],
)
def test_it_prints_those_of_any_combination(tmp_path, overrides):
    check(tmp_path, overrides, STRICT, lab_flags())


def test_too_much_data_is_cut_or_refused(tmp_path, monkeypatch, capsys):
    run = str(tmp_path / "run")
    trained(tmp_path / "run", "samples=0", "init=orthogonal")
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 100)
    export([run, "--c", str(tmp_path / "c")])
    assert "microgpt.c, 3 of 6 steps" in capsys.readouterr().out
    assert "takes the first 3 of 6 steps" in " ".join((tmp_path / "c/microgpt.c").read_text().split("\n// "))
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 10)
    with pytest.raises(UserError, match="the documents of a step are more than 10 characters"):
        export([run, "--c", str(tmp_path / "d")])
    monkeypatch.setattr(numbers, "MOST_WEIGHTS", 4000)
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 100)
    with pytest.raises(
        UserError, match=r"init=orthogonal draws weights as C cannot.*4,192 are more than 4,000"
    ):
        export([run, "--c", str(tmp_path / "d")])
    assert not (tmp_path / "d").exists()


def test_only_definitions_that_are_used_are_kept():
    text = """
#define TWICE(x) (2 * (x))
#if defined HERE
enum { WIDE = 8, NARROW = 4 };
#endif
typedef struct { int a; } Pair;
// Four times.
static int fourfold(int x) { return TWICE(TWICE(x)); }
static int unused(Pair p) {
  return fourfold(p.a);
}
"""
    assert used(text, "x = fourfold(1);").splitlines() == [
        "#define TWICE(x) (2 * (x))",
        "// Four times.",
        "static int fourfold(int x) { return TWICE(TWICE(x)); }",
    ]
    assert used(text, "NARROW").startswith("#if defined HERE")
    assert "Pair" in used(text, "unused")


def test_a_string_is_ascii_whatever_its_bytes():
    assert string('a"\\\n\xff0?') == r'"a\042\134\012\3770\077"'
