"""Promise: a run that was killed at any moment resumes, and ends with the same results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arguments import keep_last
from board import points
from needs import needs

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.documents import Stream
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import BEST, CURRENT
from microgpt_lab.run.resume import capture, restore

SMALL = ("steps=60", "train_docs=500", "embed=8", "eval_docs=5", "eval_every=20", "samples=3", "dropout=0.2")
RUN = (
    *SMALL,
    "callback.checkpoint.every=7",
    "callback.checkpoint.best=true",
    "callback=[jsonl,tensorboard,samples,checkpoint]",
)
DOCUMENTS = part("dataset", "us_names")()[:300]


def trainer(backend, optimizer="adam", scheduler="cosine", documents=DOCUMENTS, tokenizer="char", **options):
    corpus = Corpus(documents, part("tokenizer", tokenizer), block_size=8)
    model = GPT(
        corpus.vocab_size, part("activation", "gelu"), part("norm", "layernorm"), embed=8, block_size=8
    )
    parts = part("optimizer", optimizer), part("scheduler", scheduler), part("backend", backend)
    return Trainer(model, corpus, *parts, steps=12, batch_size=2, dropout=0.2, **options)


def bits(run):
    return {name: weight.tolist() for name, weight in run.weights.items()}, run.sample(samples=2)


def resumes_exactly(make):
    """True if a run that resumes from a checkpoint equals the run that was not stopped there."""
    whole, second = make(), make()
    whole.advance(5)
    facts, numbers = checkpoint.decode(capture(whole))
    restore(second, checkpoint.Saved(facts, numbers, "checkpoint"))
    first, other = ([metrics["loss/train"] for metrics in run.advance(7)] for run in (whole, second))
    return first == other and bits(whole) == bits(second)


@pytest.mark.parametrize("optimizer", registry().names("optimizer"))
@pytest.mark.parametrize(
    "backend", ["python", "numpy", *(pytest.param(b, marks=pytest.mark.slow) for b in ("jax", "c"))]
)
def test_every_optimizer_resumes_exactly_on_every_backend(backend, optimizer):
    needs(backend)
    assert resumes_exactly(lambda: trainer(backend, optimizer, grad_clip=0.5))


def test_a_run_on_c_resumes_exactly():
    needs("c")
    assert resumes_exactly(lambda: trainer("c", "muon", grad_clip=0.5))


@pytest.mark.parametrize("scheduler", registry().names("scheduler"))
def test_every_scheduler_resumes_exactly(scheduler):
    assert resumes_exactly(lambda: trainer("numpy", scheduler=scheduler))


@pytest.mark.parametrize("dataset", ["us_names", "arithmetic", "reverse", "unicode_names"])
def test_every_data_set_resumes_exactly(dataset):
    documents = part("dataset", dataset)()
    assert resumes_exactly(lambda: trainer("numpy", documents=documents))


@pytest.mark.parametrize("tokenizer", registry().names("tokenizer"))
def test_every_tokenizer_resumes_exactly_on_names_and_on_a_stream(tokenizer):
    for documents in (DOCUMENTS, Stream(["\n".join(DOCUMENTS)])):
        assert resumes_exactly(
            lambda documents=documents: trainer("numpy", documents=documents, tokenizer=tokenizer)
        )


def test_single_precision_resumes_exactly():
    def make():
        run = trainer("numpy")
        single = part("backend", "numpy", precision="float32")
        return Trainer(run.model, run.corpus, run.optimizer, run.scheduler, single, steps=12)

    assert resumes_exactly(make)


def test_a_checkpoint_contains_the_second_gaussian_of_a_pair():
    first, second = trainer("python"), trainer("python")
    first.corpus.rng.gauss(0, 1)  # gauss draws pairs and stores the second number
    facts, numbers = checkpoint.decode(capture(first))
    restore(second, checkpoint.Saved(facts, numbers, "checkpoint"))
    assert [first.corpus.rng.gauss(0, 1) for _ in "ab"] == [second.corpus.rng.gauss(0, 1) for _ in "ab"]


def outcome(folder):
    """Results that must be the same to the bit."""
    saved, best = (checkpoint.read(folder, pytest.fail, (name,)) for name in (CURRENT, BEST))
    facts = {k: v for k, v in best.facts.items() if k not in ("seconds", "resumed")}
    facts["callbacks"].pop("tensorboard", None)  # it contains the name of its file
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        del row["perf/tokens_per_s"]
    summary = json.loads((folder / "summary.json").read_text())
    figures = {k: v for k, v in summary.items() if k not in ("seconds", "resumed")}
    kept = saved.numbers, saved.facts["rng"], best.numbers, facts
    return kept, rows, figures, (folder / "samples.txt").read_text()


KILLED = [
    pytest.param(backend, options, kills, marks=[pytest.mark.slow] * slow)
    for backend, other, few, many in (
        ("python", "optimizer=sgd optimizer.momentum=0.9", 0, 250),
        ("numpy", "optimizer=muon", 6, 250),
        ("jax", "optimizer=muon", 0, 20),
        ("c", "optimizer=muon", 0, 60),
    )
    for options in ("optimizer=adamw", f"{other} batch_size=2 accumulate=2")
    for kills, slow in ((few, False), (many, True))
    if kills
]


@pytest.mark.thorough
@pytest.mark.parametrize(("backend", "options", "kills"), KILLED)
def test_a_run_killed_at_random_moments_ends_the_same(tmp_path, backend, options, kills):
    needs(backend)
    (tmp_path / "data.txt").write_text("\n".join(DOCUMENTS))
    arguments = (*RUN, "steps=40", "dataset=text", "dataset.path=data.txt", f"backend={backend}")
    arguments += ("eval_every=8", "callback.tensorboard.every=3", *options.split())
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")}
    killing = Path(__file__).with_name("killing.py")
    subprocess.run(
        [sys.executable, killing, str(kills), *keep_last(arguments)], cwd=tmp_path, env=env, check=True
    )
    whole, *killed = sorted(file.parent for file in tmp_path.glob("run*/summary.json"))
    assert killed and all(outcome(run) == outcome(whole) for run in killed)
    resumed_steps = [json.loads((run / "summary.json").read_text()).get("resumed", []) for run in killed]
    assert sum(map(len, resumed_steps)) >= kills / 2
    assert all(points(run) == points(whole) for run in killed)


@pytest.mark.slow
def test_a_process_killed_on_jax_ends_the_same(lab, tmp_path):
    pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    arguments = (*RUN, "backend=jax", "steps=400", "batch_size=4")
    lab(*arguments, "hydra.run.dir=whole", check=0)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "microgpt_lab", *keep_last(arguments), "hydra.run.dir=killed"],
        cwd=tmp_path, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "killed" / checkpoint.CURRENT).exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    lab("resume", "killed", check=0)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    assert json.loads((tmp_path / "killed" / "summary.json").read_text())["resumed"]
    assert "has ended: ok" in lab("resume", "killed", check=0).stdout


def test_early_stopping_resumes_with_its_state(lab, tmp_path):
    arguments = (*RUN, "eval_every=5", "callback=[jsonl,samples,checkpoint,early_stopping]", "optimizer.lr=0")
    arguments += ("callback.early_stopping.patience=3", "callback.early_stopping.min_delta=1")
    lab(*arguments, "hydra.run.dir=whole", check=0)
    assert len((tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()) == 20
    lab(*arguments, "hydra.run.dir=again", check=0)
    run = tmp_path / "again"
    (run / checkpoint.PREVIOUS).replace(run / checkpoint.CURRENT)  # of step 14
    (run / "summary.json").unlink()
    lab("resume", "again", check=0)
    assert outcome(run) == outcome(tmp_path / "whole")


def test_force_continues_a_run_that_stopped_early(lab, tmp_path):
    options = (
        "eval_every=5",
        "callback=[jsonl,checkpoint,early_stopping]",
        "optimizer.lr=0",
        "backend=numpy",
    )
    lab(*SMALL, *options, "callback.early_stopping.patience=2", "hydra.run.dir=run", check=0)
    rows = tmp_path / "run" / "metrics.jsonl"
    assert len(rows.read_text().splitlines()) == 15
    lab("resume", "run", "steps=70", "callback.early_stopping.patience=99", "--force", check=0)
    assert len(rows.read_text().splitlines()) == 70


@pytest.mark.thorough
def test_force_accepts_an_option_that_changes_the_optimizer_state(lab, tmp_path):
    lab(*SMALL, "optimizer=sgd", "backend=numpy", "hydra.run.dir=run", check=0)
    for momentum in ("0.9", "0.0"):
        steps = f"steps={70 if momentum == '0.9' else 80}"
        lab("resume", "run", "--force", steps, f"optimizer.momentum={momentum}", check=0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "ok"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_run_and_prints_how_to_resume(lab, tmp_path, number, status):
    arguments = ("steps=3000", "hydra.run.dir=run", "callback=[jsonl,tensorboard,samples,checkpoint]")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "microgpt_lab", *keep_last((*SMALL, *arguments))],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert errors == "interrupted; to continue: python -m microgpt_lab resume run\n".replace(
        "resume run", f"resume {tmp_path / 'run'}"
    )
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    saved = checkpoint.read(tmp_path / "run", pytest.fail)
    assert summary["status"] == "interrupted" and summary["signal"] == number.name
    assert saved.facts["step"] == summary["steps"] == len(metrics.read_text().splitlines())


LATE = """
import os, signal
from microgpt_lab import hookimpl

@hookimpl
def run_finished():
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_while_a_run_ends_loses_nothing(lab, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "late.py").write_text(LATE)
    plugins = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "plugins")}
    lab(*SMALL, "steps=1", "hydra.run.dir=run", env=plugins, check=0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "ok"


def test_a_run_has_one_writer(lab, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable, "-P", "-m", "microgpt_lab",
            *keep_last((*SMALL, "steps=100000")), "hydra.run.dir=run",
        ],
        cwd=tmp_path, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.01)
    start = time.monotonic()
    done = lab("resume", "run", check=2)
    assert done.stderr == "error: run is running in another process\n" and time.monotonic() - start < 20
    process.kill()
    process.wait()
    config = Path(tmp_path / "run" / "config.yaml")
    config.write_text(config.read_text().replace("steps: 100000", "steps: 1"))
    assert "another process" not in lab("resume", "run").stderr
