"""How fast compiled steps are: beside numpy and jax, with threads, with a window, and part by part.

python -m pytest tests/benchmarks/test_compiled.py --benchmark-only -n 0 -s
"""

import time
from pathlib import Path
from random import Random
from statistics import median

import pytest

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.reading import lines
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors.shapes import Counted, ShapeTensor, on_shapes, weight_shapes

pytestmark = pytest.mark.benchmark(group="compiled")
DOCUMENTS = lines(Path(__file__).parents[2] / "plugins" / "datasets" / "us_names.txt")
SIZES = {
    "default, batch 1": {},
    "default, batch 32": {"batch_size": 32},
    "4 layers x 64, block 32, batch 32": {"layers": 4, "embed": 64, "block_size": 32, "batch_size": 32},
}
OPTIONS = [
    {"attention": ("multihead", {"kv_heads": 1})},
    {"attention": ("multihead", {"window": 3})},
    {"attention": ("multihead", {"qk_norm": True})},
    {"attention": ("multihead", {"dropout": 0.2})},
    {"attention": ("multihead", {"sinks": True})},
    {"attention": ("multihead", {"value_residual": True})},
    {"mlp": ("moe", {"top_k": 2})},
    {"tie_embeddings": True},
    {"bias": True},
    {"final_norm": True},
    {"dropout": 0.2},
    {"grad_clip": 0.5},
]
OF_TRAINER = ("batch_size", "dropout", "grad_clip")


def trainer(backend="c", documents=DOCUMENTS, **chosen):
    chosen = {"activation": "relu", "norm": "rmsnorm", "optimizer": "adam"} | chosen
    training = {name: chosen.pop(name) for name in OF_TRAINER if name in chosen}
    parts = {kind: built(kind, chosen.pop(kind)) for kind in (*MODEL_KINDS, "optimizer") if kind in chosen}
    block_size = chosen.get("block_size", 16)
    corpus = Corpus(documents, split="none", block_size=block_size)
    optimizer, scheduler = parts.pop("optimizer"), part("scheduler", "linear")
    model = GPT(corpus.vocab_size, **parts, **chosen)
    return Trainer(model, corpus, optimizer, scheduler, part("backend", backend), steps=10**6, **training)


def built(kind, chosen):
    name, options = (chosen, {}) if isinstance(chosen, str) else chosen
    return part(kind, name, **options)


def seconds(run, clock=time.process_time, calls=1):
    """Seconds a document of `calls` calls of as many steps as the backend fuses."""
    first, start = run.step, clock()
    for _ in range(calls):
        run.advance(run.backend.fused)
    return (clock() - start) / (run.step - first) / run.batch_size


def in_turns(functions, rounds=9):
    """What each function returns in each round, after a first round that compiles."""
    for f in functions:
        f()
    return list(zip(*([f() for f in functions] for _ in range(rounds))))


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize("size", SIZES)
def test_beside_numpy_and_jax(benchmark, one_thread, size):
    """CPU time of one thread."""
    names = [name for name in ("c", "numpy", "jax") if name in registry().names("backend")]
    runs = [trainer(name, **SIZES[size]) for name in names]
    calls = 8 if "batch_size" not in SIZES[size] else 1
    found = benchmark.pedantic(lambda: in_turns([lambda run=run: seconds(run, calls=calls) for run in runs]))
    each = ", ".join(f"{name} {min(times) * 1e6:.1f}" for name, times in zip(names, found))
    ratio = median(b / a for a, b in zip(*found[:2]))
    print(f"\n{size}: {each} microseconds a document; numpy takes {ratio:.2f} times as long as c")


@pytest.mark.parametrize("size", list(SIZES)[1:])
def test_two_threads(benchmark, monkeypatch, size):
    run = trainer(**SIZES[size])

    def on(threads):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        return seconds(run, time.perf_counter)

    one, two = benchmark.pedantic(lambda: in_turns([lambda: on(1), lambda: on(2)]))
    print(f"\n{size}: two threads are {median(a / b for a, b in zip(one, two)):.2f} times as fast as one")


@pytest.mark.parametrize(("layers", "embed"), [(1, 16), (2, 32), (4, 64)])
def test_window(benchmark, one_thread, layers, embed):
    """Documents that fill a block of 256 tokens."""
    rng = Random(5)
    documents = [" ".join(rng.choices(DOCUMENTS, k=60)) for _ in range(100)]
    size = {"documents": documents, "block_size": 256, "layers": layers, "embed": embed}
    runs = trainer(**size), trainer(**size, attention=("multihead", {"window": 32}))
    full, windowed = benchmark.pedantic(lambda: in_turns([lambda run=run: seconds(run) for run in runs], 5))
    ratio = median(a / b for a, b in zip(full, windowed))
    print(f"\n{layers} x {embed}, block 256: a window of 32 is {ratio:.2f} times as fast as none")


def every_part():
    """Each first-party part, and options that compute something else."""
    for each in registry().parts.values():
        if each.kind in (*MODEL_KINDS, "optimizer") and each.kind != "init" and each.first_party:
            yield {each.kind: each.name}
    yield from OPTIONS


def combination(rng):
    kinds = [kind for kind in (*MODEL_KINDS, "optimizer") if kind != "init"]
    chosen = {kind: rng.choice(sorted(registry().names(kind))) for kind in kinds}
    if chosen["attention"] == "linear":
        chosen |= {"weighting": "softmax", "position": rng.choice(("learned", "rope"))}
    return chosen | {"layers": rng.choice((1, 2)), "tie_embeddings": rng.random() < 0.3}


def multiply_adds(run):
    """Those of all matrix products of a step, forward and backward, and of the optimizer."""
    length = round(sum(run.inputs(step)[0].tokens for step in range(50)) / 50 / run.batch_size)
    products = 3 * run.batch_size * sum(on_shapes(run.model, length)[1].products)
    of_optimizer = Counted([], [])
    for name in run.carry[0]:
        if not run.packing.elementwise:
            like = ShapeTensor(weight_shapes(run.model)[name].shape, of_optimizer)
            state = tuple(like for _ in run.carry[1][name])
            run.optimizer.update(like, state, like, 0.1, 1, **run.packing.update_roles[name])
    return products + sum(of_optimizer.products)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_each_part(benchmark, one_thread, batch_size):
    """CPU time for each multiply-add, compared with the default's."""
    default, rng, found = trainer(batch_size=batch_size), Random(0), []
    combinations = [combination(rng) for _ in range(30)]

    def measure(chosen):
        run = trainer(batch_size=batch_size, **chosen)
        ours, others = in_turns([lambda: seconds(run), lambda: seconds(default)], 5)
        ratio = median(a / b for a, b in zip(ours, others))
        found.append((ratio / (multiply_adds(run) / multiply_adds(default)), ratio, chosen))

    benchmark.pedantic(lambda: [measure(chosen) for chosen in (*every_part(), *combinations)])
    for each, ratio, chosen in sorted(found, key=lambda x: -x[0]):
        said = " ".join(f"{key}={value}" for key, value in chosen.items())
        print(f"\n{each:.2f} times the default's time a multiply-add ({ratio:.2f} in all): {said}", end="")
    print(f"\nbatch {batch_size}: {sum(each <= 2 for each, *_ in found)} of {len(found)} at most 2")
