"""Compare a training step with one of the published algorithm, in the same process.

python -m pytest tests/benchmarks --benchmark-only -n 0 -s
"""

import gc
import time
from pathlib import Path
from statistics import median

import pytest
from benchmarks.reference import Reference

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.reading import lines

DOCUMENTS = lines(Path(__file__).parents[2] / "plugins" / "datasets" / "us_names.txt")


# Parts of the model that are compared with the default: kind, name, options.
SWAPPED = [
    ("position", "none", {}),
    ("position", "sinusoidal", {}),
    ("position", "rope", {}),
    ("position", "alibi", {}),
    ("attention", "multihead", {"kv_heads": 1}),
    ("attention", "multihead", {"window": 4}),
    ("attention", "multihead", {"qk_norm": True}),
    ("attention", "multihead", {"dropout": 0.1}),
    ("attention", "differential", {}),
    ("attention", "linear", {}),
    ("weighting", "sigmoid", {}),
    ("weighting", "relu2", {}),
    ("mlp", "glu", {}),
    ("mlp", "moe", {}),
    ("mlp", "none", {}),
    ("block", "parallel", {}),
    ("block", "sandwich_norm", {}),
    ("block", "rezero", {}),
    ("loss", "label_smoothing", {}),
    ("loss", "z_loss", {}),
]


def trainer(backend="python", batch_size=1, **parts):
    corpus = Corpus(DOCUMENTS, split="none")
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **parts)
    others = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *others, batch_size=batch_size, steps=10**6)


@pytest.mark.benchmark(group="one training step")
def test_step_of_the_lab(benchmark):
    benchmark.pedantic(trainer().advance, rounds=60, warmup_rounds=5)


@pytest.mark.benchmark(group="one training step")
def test_step_of_the_published_algorithm(benchmark):
    benchmark.pedantic(Reference(DOCUMENTS).train_step, rounds=30, warmup_rounds=2)


@pytest.mark.benchmark(group="evaluation of one document")
def test_evaluation(benchmark):
    run = trainer()
    benchmark.pedantic(lambda: run.evaluate(run.corpus.train[:20]), rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="ratio")
@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("backend", ["python", "numpy", "jax"])
def test_ratio_to_the_published_algorithm(benchmark, backend, batch_size):
    """Time both alternately, so that other work of the machine affects both. The reference has no batches."""
    if backend == "jax":
        pytest.importorskip("jax")
    lab, reference, ratios = trainer(backend, batch_size), Reference(DOCUMENTS), []
    steps = {("python", 1): 8, ("python", 32): 1, ("numpy", 1): 300, ("numpy", 32): 100}.get(
        (backend, batch_size), 15 * lab.backend.fused
    )
    together = min(steps, lab.backend.fused)
    for _ in range(0, min(steps, 320), together):  # compile
        lab.advance(together)
    gc.collect()
    gc.freeze()  # otherwise the reference's garbage collections search all objects of the libraries

    def seconds(step, times):
        gc.collect()  # garbage of the other one
        start = time.perf_counter()
        for _ in range(times):
            step()
        return time.perf_counter() - start

    def both():
        theirs = seconds(reference.train_step, 4) / 4
        ours = seconds(lambda: lab.advance(together), steps // together) / (steps * batch_size)
        ratios.append(theirs / ours)

    benchmark.pedantic(both, rounds=15)
    gc.unfreeze()
    benchmark.extra_info["ratio"] = median(ratios)
    low, middle, high = min(ratios), median(ratios), max(ratios)
    print(
        f"\n{backend}, batch {batch_size}: {middle:,.0f} times as fast a document ({low:,.0f} to {high:,.0f})"
    )


@pytest.mark.benchmark(group="ratio of a part to the default")
@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(("kind", "name", "options"), SWAPPED, ids=str)
def test_ratio_of_parts_to_the_default(benchmark, kind, name, options, batch_size):
    """CPU time of training steps on numpy, with a part and with the default, alternately."""
    runs = trainer("numpy", batch_size, **{kind: part(kind, name, **options)}), trainer("numpy", batch_size)
    for run in runs:
        run.advance(20)
    ratios = []

    def seconds(run):
        start = time.process_time()
        run.advance(20)
        return time.process_time() - start

    def both():
        ours, default = map(seconds, runs)
        ratios.append(ours / default)

    benchmark.pedantic(both, rounds=30)
    benchmark.extra_info["ratio"] = median(ratios)
    settings = "".join(f" {key}={value}" for key, value in options.items())
    print(f"\n{kind}={name}{settings}, batch {batch_size}: {median(ratios):.2f} times the default's time")
