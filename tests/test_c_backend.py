"""The C backend alone: threads, lengths, memory, published losses. test_backends.py has what all promise."""

import gc
import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from needs import needs

from microgpt_lab import GPT, Corpus, Linear, Trainer, part
from microgpt_lab.commands.multirun.dry import estimate
from microgpt_lab.core.reading import lines
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors import ragged
from microgpt_lab.testing import losses, small_trainer

MAPS = Path("/proc/self/maps")
NAMES = registry().names
MODULES = {
    name: importlib.import_module(f"microgpt_lab_plugins.backends.c.{name}")
    for name in ("build", "plan", "scan")
}


@pytest.fixture(autouse=True)
def compiler():
    needs("c")


def trainer(name, steps=6, **chosen):
    built = {
        key: part(key, *x[:1], **dict(*x[1:])) if isinstance(x, tuple) else x for key, x in chosen.items()
    }
    return small_trainer(part("backend", name), steps, **built)


def state(tree):
    """The numbers of weights and of an optimizer's state, in one list."""
    if isinstance(tree, dict):
        return [x for key in sorted(tree) for x in state(tree[key])]
    if isinstance(tree, tuple):
        return [x for each in tree for x in state(each)]
    return [] if tree is None else np.array(tree.tolist()).ravel().tolist()


def assert_equal_to(name, tolerance=1e-11, **chosen):
    ours, theirs = trainer("c", **chosen), trainer(name, **chosen)
    found, expected = (
        [(m["loss/train"], m["optim/grad_norm"]) for m in t.advance(6)] for t in (ours, theirs)
    )
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(state(ours.carry), state(theirs.carry), rtol=tolerance, atol=tolerance)


# Every part of a model is in one of these, with options that no default has.
MODELS = [
    {"layers": 2, "heads": 4, "bias": True, "batch_size": 7, "dropout": 0.2, "accumulate": 3}
    | {"attention": ("multihead", {"kv_heads": 2, "window": 3, "window_pattern": "SL", "dropout": 0.2})}
    | {"norm": ("layernorm", {"gain": True, "bias": True}), "position": ("alibi",), "init": ("gpt2",)},
    {"layers": 2, "tie_embeddings": True, "grad_clip": 0.1, "logit_softcap": 2.0, "embed_scale": 3.0}
    | {"attention": ("multihead", {"qk_norm": True, "qk_gain": True, "sinks": True, "value_residual": True})}
    | {"position": ("rope", {"partial": 0.5}), "block": ("sandwich_norm",), "mlp": ("moe", {"top_k": 2})},
    {
        "attention": ("differential", {"window": 2, "head_dim": 6}),
        "position": ("sinusoidal",),
        "batch_size": 3,
    }
    | {"norm": ("dyt",), "block": ("post_norm",), "mlp": ("glu",), "loss": ("label_smoothing",)},
    {"attention": ("linear",), "position": ("none",), "block": ("rezero", {"start": 0.5}), "mlp": ("none",)}
    | {"heads": 1, "embed": 3, "loss": ("z_loss", {"weight": 0.1}), "init": ("xavier",), "batch_size": 2},
    {"weighting": ("sigmoid",), "block": ("parallel",), "norm": ("none",), "init": ("orthogonal",)}
    | {"final_norm": True, "embed_norm": False, "heads": 8},
    {
        "weighting": ("relu2",),
        "heads": 1,
        "embed": 1,
        "block_size": 1,
        "batch_size": 40,
        "init": ("nanochat",),
    },
]


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(model, id=str(i), marks=[pytest.mark.thorough] * (i > 0))
        for i, model in enumerate(MODELS)
    ],
)
def test_models_of_all_parts_train_as_on_numpy(chosen):
    assert_equal_to("numpy", **chosen)


class EveryActivation:
    """Adds up what all activations give."""

    def weights(self, gpt):
        return {"fc1": Linear(gpt.embed, gpt.embed), "fc2": Linear(gpt.embed, gpt.embed, "residual")}

    def __call__(self, x, at, fc1, fc2):
        x = fc1(x)
        return fc2(sum(f(x) for f in self.activations()) * (1 / 12))

    def activations(self):
        return [
            *(part("activation", name) for name in NAMES("activation")),
            part("activation", "gelu", approximate="tanh"),
        ]


class EveryOptimizer:
    """Moves weights by the mean of what all optimizers would."""

    lr = 0.02

    def __init__(self):
        options = {"sgd": {"momentum": 0.9, "nesterov": True}, "adamw": {"weight_decay": 0.3}}
        self.each = [part("optimizer", name, **options.get(name, {})) for name in NAMES("optimizer")]

    def init(self, w, role):
        return tuple(self.call(each.init, w, role=role) for each in self.each)

    def update(self, g, state, w, lr, step, role):
        pairs = [self.call(each.update, g, s, w, lr, step, role=role) for each, s in zip(self.each, state)]
        return sum(new for new, _ in pairs) * (1 / len(pairs)), tuple(s for _, s in pairs)

    def call(self, f, *arguments, role):
        wants = "role" in f.__code__.co_varnames[: f.__code__.co_argcount]
        return f(*arguments, role=role) if wants else f(*arguments)


@pytest.mark.thorough
def test_all_activations_and_optimizers_are_those_of_numpy():
    assert_equal_to("numpy", mlp=EveryActivation(), optimizer=EveryOptimizer(), batch_size=3)


def test_models_cover_every_part():
    for kind in ("norm", "position", "attention", "weighting", "mlp", "block", "init", "loss"):
        default = {"rmsnorm", "learned", "multihead", "softmax", "mlp", "pre_norm", "normal", "cross_entropy"}
        assert set(NAMES(kind)) <= default | {model[kind][0] for model in MODELS if kind in model}


def test_1000_losses_are_those_published(karpathy_names):
    corpus = Corpus(lines(karpathy_names), split="none")
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"))
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "c")
    golden = (karpathy_names.parents[1] / "golden" / "microgpt_losses.txt").read_text().split()[1::2]
    found = losses(Trainer(model, corpus, *parts, steps=1000))
    assert found == pytest.approx(list(map(float, golden)), rel=0, abs=1e-12)


@pytest.mark.thorough
def test_bits_do_not_depend_on_threads_or_runs_or_what_lay_in_memory(monkeypatch):
    """Each document or two have a lane of their own, as has the update of each of Muon's matrices.

    The second run in a thread count begins with NaN.
    """
    for module in MODULES["plan"], MODULES["scan"], ragged:
        monkeypatch.setattr(module, "WORTH", 1)
    chosen = {
        "layers": 2,
        "batch_size": 11,
        "dropout": 0.2,
        "grad_clip": 0.1,
        "attention": ("multihead", {"dropout": 0.2}),
        "optimizer": ("muon",),
    }
    found = []
    for threads in ("1", "2", "3", "8", "1"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        run = trainer("c", 12, **chosen)
        for steps in (1, 1, 10):
            run.advance(steps)
            poison(run.train_scan.compiled)
        found.append(state(run.carry))
    assert "UPDATES = 12" in run.train_scan.compiled.program.text
    assert all(each == found[0] for each in found)
    alone = trainer("numpy", 12, **chosen)
    losses(alone)
    np.testing.assert_allclose(found[0], state(alone.carry), rtol=1e-10, atol=1e-11)


def poison(compiled):
    """Leave NaN wherever a step does not promise to find something."""
    for array in (compiled.mem, compiled.sums):
        array[:] = np.nan
    tables = [(at, np.size(table)) for at, table in compiled.program.tables.items()]
    kept = {i for at, size in tables for i in range(at, at + size)}
    compiled.keep[[i for i in range(len(compiled.keep)) if i not in kept]] = np.nan


def test_what_a_sweep_prepares_has_no_memory_of_its_own_and_trains_as_ever():
    prepared, alone = trainer("c"), trainer("c")
    prepared.backend.prepare(prepared)
    scans = prepared.train_scan, prepared.loss_scan
    assert not any(scan.compiled.mem.size for scan in scans if scan.compiled)
    shared = trainer("c")
    shared.train_scan, shared.loss_scan = scans
    assert losses(shared) == losses(alone)


def test_a_program_is_unloaded_with_the_last_trainer_that_uses_it():
    if not MAPS.exists():
        pytest.skip("needs /proc")

    def loaded():
        gc.collect()
        return MAPS.read_text().count("microgpt.so")

    before, run = loaded(), trainer("c")
    run.advance(1)
    assert loaded() > before
    del run
    assert loaded() == before


def test_evaluations_of_longer_documents_than_before_and_of_windows_are_right():
    def evaluated(name, **options):
        corpus = Corpus(["anna", "bo", "eve"] * 9, split="none", block_size=48, **options)
        model = GPT(
            corpus.vocab_size,
            part("activation", "relu"),
            part("norm", "rmsnorm"),
            part("position", "alibi"),
            block_size=48,
        )
        run = Trainer(
            model, corpus, part("optimizer", "adam"), part("scheduler", "linear"), part("backend", name)
        )
        return [run.evaluate(each) for each in (["anna"], ["annabo" * 20, "eve"], ["bo"])]

    for options in ({}, {"long_docs": "window"}):
        assert evaluated("c", **options) == pytest.approx(evaluated("numpy", **options), rel=1e-13)


def test_a_step_in_parts_has_the_memory_of_one_and_shows_all_documents():
    whole, parts = (trainer("c", batch_size=48 // n, accumulate=n) for n in (1, 12))
    for run in (whole, parts):
        run.advance(1)
    assert len(parts.train_scan.compiled.mem) < 0.25 * len(whole.train_scan.compiled.mem)
    shown = [
        run.train_scan.look(whole.carry, run.inputs(1), "layer0.attention.pattern") for run in (whole, parts)
    ]
    for ours, theirs in zip(*(x["layer0.attention.pattern"] for x in shown), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_threads_that_evaluate_one_trainer_at_once_get_the_same_loss():
    run, documents = trainer("c"), ["anna", "bob"] * 90
    expected = run.evaluate(documents)
    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(lambda _: run.evaluate(documents), range(200))} == {expected}


def test_a_dry_run_counts_compiling_once(monkeypatch, tmp_path):
    """Not with each of the 101 evaluations: the estimate is less than the dry run itself took."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = compose(["backend=c", "steps=100", "eval_every=1", "eval_docs=1"])
    started = time.perf_counter()
    assert estimate(config) < time.perf_counter() - started
