"""Compare the time of a training step with its counted operations, varying one size at a time.

python -m pytest tests/benchmarks/test_scaling.py --benchmark-only -n 0 -s
"""

import time
from random import Random
from statistics import median

import pytest
from rich.console import Console
from rich.table import Table

from microgpt_lab import GPT, Corpus, Trainer, part

BASE = {"embed": 64, "layers": 2, "block_size": 32, "batch_size": 16}
VARIED = {
    "embed": (16, 32, 64, 128, 256),
    "layers": (1, 2, 4, 8),
    "block_size": (16, 32, 64, 128),
    "batch_size": (1, 4, 16, 64, 256),
}


def operations(vocab_size, *, embed, layers, block_size, batch_size):
    """Operations of a step: per weight and token two forward and four backward, and those of attention."""
    matrices = 12 * embed**2 * layers + vocab_size * embed
    attention = 2 * block_size * embed * layers
    return 6 * (matrices + attention) * block_size * batch_size


def trainer(backend, *, batch_size, **sizes):
    rng = Random(0)
    documents = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=sizes["block_size"])) for _ in range(999)
    ]
    corpus = Corpus(documents, split="none", block_size=sizes["block_size"])
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **sizes)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *parts, batch_size=batch_size, steps=10**6)


def milliseconds(run):
    """Median time of a step in milliseconds, from 5 measurements of at least 0.05 seconds."""
    run.advance()
    measurements = []
    for _ in range(5):
        start, first = time.perf_counter(), run.step
        while time.perf_counter() - start < 0.05:
            run.advance(min(run.steps_per_second, run.backend.fused))
        measurements.append((time.perf_counter() - start) / (run.step - first) * 1e3)
    return median(measurements)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_scaling(benchmark, backend):
    if backend == "jax":
        pytest.importorskip("jax")
    table = Table("varied", "ms / step", "million operations", "× operations", "× time", title=backend)

    def measure():
        for name, values in VARIED.items():
            first = None
            for value in values:
                sizes = BASE | {name: value}
                run = trainer(backend, **sizes)
                took, counted = milliseconds(run), operations(run.corpus.vocab_size, **sizes) / 1e6
                first = first or (took, counted)
                growth = f"{counted / first[1]:.1f}", f"{took / first[0]:.1f}"
                table.add_row(f"{name} {value}", f"{took:.2f}", f"{counted:,.1f}", *growth)

    benchmark.pedantic(measure, rounds=1)
    Console(width=100).print(table)
