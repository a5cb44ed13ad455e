"""A run as one file of Python: it trains as the run did, and reads well."""

import copy
import json
import re
import subprocess
import sys
from functools import cache

import pytest

from microgpt_lab.exchange.python_file.write import python_file
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.folders import CHECKOUT
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, load_documents

COMBINATIONS = {
    "default": "",
    "tied": "tie_embeddings=true final_norm=true embed_norm=false batch_size=3 optimizer=sgd",
    "llama": "model=llama layers=2 attention.kv_heads=2 attention.window=3 optimizer=lion",
    "experts": "mlp=moe mlp.top_k=2 activation=gelu activation.approximate=tanh block=parallel",
    "dropout": "dropout=0.2 attention.dropout=0.1 batch_size=2 accumulate=2 scheduler=step bias=true",
    "muon": "optimizer=muon norm=layernorm norm.bias=true norm.gain=true grad_clip=0.5",
    "smoothed": "loss=label_smoothing scheduler=cosine scheduler.warmup=0.4 init=gpt2",
    "pairs": "tokenizer=bpe tokenizer.vocab_size=60 position=alibi weighting=sigmoid",
    "windows": "long_docs=window block_size=4 layers=3 attention.window=2 attention.window_pattern=SL "
    "attention.sinks=true attention.value_residual=true attention.qk_norm=true sampler=greedy",
    "stream": f"dataset=text dataset.path={CHECKOUT}/examples/sonnets.txt dataset.unit=stream block_size=6 "
    "tokenizer=byte attention=differential attention.qk_norm=true attention.qk_gain=true optimizer=adamw "
    "optimizer.decay=linear logit_softcap=15",
}
STEPS = 4
MARKS = {
    "default": (),
    "dropout": pytest.mark.thorough,
    "stream": pytest.mark.thorough,
}  # the others are slow


@cache
def exported(*overrides):
    """The text of a run's file, and what it must print."""
    config = compose([f"steps={STEPS}", "backend=numpy", *overrides])
    documents = load_documents(config)
    trainer = assemble(config, documents)
    text = python_file(assemble(config, documents), config, overrides)
    losses = [metrics["loss/train"] for metrics in trainer.advance(STEPS)]
    return text, losses, trainer.sample(copy.copy(trainer.corpus.rng), samples=10)


def output_of(path):
    done = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True, encoding="utf-8")
    assert not done.returncode, done.stderr
    return done.stdout


def printed(output):
    """The losses and the samples in what a file prints."""
    steps, _, samples = output.partition("sample  1: ")
    losses = [float(line.rpartition(" ")[2]) for line in steps.splitlines()]
    return losses, "sample  1: " + samples


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(overrides, id=name, marks=MARKS.get(name, pytest.mark.slow))
        for name, overrides in COMBINATIONS.items()
    ],
)
def test_a_file_repeats_its_run_and_is_formatted(overrides, tmp_path):
    text, losses, samples = exported(*overrides.split())
    path = tmp_path / "microgpt.py"
    path.write_text(text, encoding="utf-8")
    of_file, of_samples = printed(output_of(path))
    assert of_file == pytest.approx(losses, rel=0, abs=1e-12)
    assert of_samples == "".join(f"sample {i:2d}: {sample}\n" for i, sample in enumerate(samples, start=1))
    for command in ("format --diff", "check --select=E,F --ignore=E741"):  # E741: the lab calls a number l
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--isolated", "--line-length=110", path]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert not done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*MODEL_KINDS, "optimizer", "scheduler", "tokenizer", "sampler"])
def test_every_part_computes_in_a_file_as_in_the_lab(kind, tmp_path):
    for name in registry().names(kind):
        if name != "orthogonal":  # it needs NumPy
            text, losses, _ = exported(f"{kind}={name}", "layers=2")
            (tmp_path / "microgpt.py").write_text(text, encoding="utf-8")
            of_file, _ = printed(output_of(tmp_path / "microgpt.py"))
            assert of_file == pytest.approx(losses, rel=0, abs=1e-12), name


def test_the_page_shows_what_is_written():
    page = (CHECKOUT / "docs" / "export.md").read_text(encoding="utf-8").partition("one file of Python\n")[2]
    text, *_ = exported()
    shown = page.partition("```python\n")[2].partition("\n```")[0].split("\n\n\n")
    assert len(shown) == 4 and all(f"\n\n\n{each}\n\n\n" in text for each in shown)
    lines = [line for line in text.partition("DOCUMENTS =")[0].splitlines() if line]
    assert len(lines) == pytest.approx(int(re.search(r"about (\d+) lines", page)[1]), abs=30)


OWN = """
from dataclasses import dataclass
from math import exp

from microgpt_lab import Heads, above, hookimpl, ops
from microgpt_lab.ops import max, repeat_heads, sigmoid, sum


def exponent(text):
    if not text.isdigit():
        raise ValueError(text)
    return 3


def swish(x, *, beta: float = 1.0, power: str = "two"):
    \"\"\"x sigmoid(beta x), to a power. beta: steepness.\"\"\"
    above(0, beta=beta)
    try:
        n = exponent(power)
    except ValueError:
        n = len(power) - 2
    return ops.relu(x * ops.sigmoid(x * beta)) ** n * exp(0.25)


@dataclass(kw_only=True, eq=False)
class Gated(Heads):
    \"\"\"Attention with a gate.\"\"\"

    loud: bool = False

    def weights(self, gpt):
        return super().weights(gpt) | {"gate": [[0.5] * gpt.embed]}

    def __call__(self, x, at, wq, wk, wv, wo, gate, q_gain=None, k_gain=None):
        heads = at.gpt.heads
        q, k = (self.norm_and_rotate(w(x).split_heads(heads), at, g) for w, g in ((wq, q_gain), (wk, k_gain)))
        k, v = at.remember(k, wv(x).split_heads(heads))
        pattern = at.dropout(at.gpt.weighting(self.mask(at.bias(q @ k.T), at)))
        if self.loud:
            pattern = pattern * 2.0
        mixed = at.see("mixed", (pattern @ v).merge_heads())
        return wo(mixed * sigmoid(sum(x * gate) - max(x)))


class Mean:
    \"\"\"SGD whose gradient is taken between z, which it moves, and w, the mean of all z.\"\"\"

    def __init__(self, *, lr: float = 0.1):
        self.lr = lr

    def init(self, w):
        return w

    def gradient_at(self, w, z):
        return (w + z) * 0.5

    def update(self, g, z, w, lr, step):
        z = z - g * lr
        return w + (z - w) / (step + 1), z


@hookimpl
def activations():
    return [swish]


@hookimpl
def attentions():
    return [Gated]


@hookimpl
def optimizers():
    return [Mean]
"""


@pytest.mark.thorough
def test_parts_of_others_are_in_the_file_and_its_losses_are_those_on_disk(lab, tmp_path):
    """Their functions may be called like those of the lab, and errors that they expect stay."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.py").write_text(OWN)
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "mine")}
    run = ("activation=swish", "attention=gated", "optimizer=mean", "position=rope", "layers=2", "steps=5")
    lab(*run, "samples=10", "backend=numpy", "hydra.run.dir=r", "eval_docs=2", env=env, check=0)
    shown = lab("export", "r", "--python", "microgpt.py", env=env, check=0).stdout
    lines = (tmp_path / "microgpt.py").read_text().splitlines()
    assert shown == f"microgpt.py: {len(lines):,} lines\n"
    rows = map(json.loads, (tmp_path / "r" / "metrics.jsonl").read_text().splitlines())
    losses, samples = printed(output_of(tmp_path / "microgpt.py"))
    assert losses == pytest.approx([row["loss/train"] for row in rows], rel=0, abs=1e-12)
    written = json.loads((tmp_path / "r" / "summary.json").read_text())["samples"]
    assert samples == "".join(f"sample {i:2d}: {sample}\n" for i, sample in enumerate(written, start=1))
    assert "loud" not in "".join(lines) and not any("import numpy" in line for line in lines)


@pytest.mark.thorough
def test_what_a_file_cannot_repeat_is_refused_in_one_line(lab, tmp_path):
    quick = ("steps=0", "samples=0", "backend=numpy")
    lab(*quick, "hydra.run.dir=numpy", "init=orthogonal", check=0)
    lab(*quick, "hydra.run.dir=more", "init_from=numpy", "init=orthogonal", check=0)
    (tmp_path / "text.txt").write_text("a\nb\nab\n" * 9)
    lab(*quick, "hydra.run.dir=text", "dataset=text", "dataset.path=text.txt", check=0)
    (tmp_path / "text.txt").write_text("a\nb\nabc\n" * 9)
    lab("steps=2", "backend=numpy", "optimizer=sgd", "optimizer.lr=1e300", "hydra.run.dir=hot", check=1)
    for arguments, message in {
        ("hot",): "hot diverged: a program would, too",
        ("numpy",): "the file would need numpy, but it may use only the standard library: orthogonal",
        ("more",): "more starts from other weights, init_from=numpy",
        ("text",): "the documents of dataset=text have changed since text was trained on them",
        ("numpy", "--best"): "--best has no meaning with --python",
        ("none",): "there is no run",
    }.items():
        done = lab("export", *arguments, "--python", "out.py", check=2)
        assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.py").exists()
