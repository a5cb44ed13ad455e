"""Every part of every installed plugin passes the checks of its kind."""

import types
from random import Random

import pytest

from microgpt_lab import GPT, Corpus, Trainer, UserError, hookimpl, part
from microgpt_lab.core.backend import Dropout
from microgpt_lab.options.keys import is_default
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.watchers import Watchers
from microgpt_lab.testing import check, check_variant

# The first four need a file or a network, jax is in test_backends.py, and others are compared with python.
TESTED_ELSEWHERE = {"text", "karpathy_names", "tiny_shakespeare", "huggingface", "jax", "python"}
PARTS = [p for p in registry().parts.values() if p.name not in TESTED_ELSEWHERE]


def marks(part):
    """Checking c compiles forty programs, and test_backends.py and test_c_*.py compare the same and more."""
    if (part.kind, part.name) == ("backend", "c"):
        return pytest.mark.slow
    return () if is_default(part) else pytest.mark.thorough


@pytest.mark.parametrize("each", [pytest.param(p, id=f"{p.kind}={p.name}", marks=marks(p)) for p in PARTS])
def test_every_part_passes_its_check(each):
    check(each)


# `check` tries each option of the parts of a model by itself. These are combinations, and options of others.
ALL = {"kv_heads": 2, "window": 3, "window_pattern": "SL", "qk_norm": True, "qk_gain": True, "head_dim": 6}
VARIANTS = [
    ("norm", "layernorm", {"gain": True, "bias": True}),
    ("position", "rope", {"partial": 0.5, "base": 3.0}),
    ("attention", "multihead", ALL | {"dropout": 0.3, "sinks": True, "value_residual": True}),
    ("attention", "multihead", {"kv_heads": 1, "window": 2, "window_pattern": "SL"}),
    ("attention", "differential", ALL | {"dropout": 0.3}),
    ("attention", "differential", {"kv_heads": 1, "window": 2, "window_pattern": "S"}),
    ("mlp", "moe", {"experts": 3, "top_k": 2, "balance": 0.0, "ratio": 2.0}),
    ("init", "normal", {"std": 0.3, "zero": True}),
    ("optimizer", "sgd", {"momentum": 0.9}),
    ("optimizer", "sgd", {"momentum": 0.9, "nesterov": True}),
    ("optimizer", "adamw", {"weight_decay": 0.1}),
    ("optimizer", "adamw", {"decay": "linear", "embedding_lr_mult": 0.3}),
    ("optimizer", "lion", {"weight_decay": 0.1}),
    *(
        ("scheduler", name, {"warmup": 0.2})
        for name in ("linear", "constant", "cosine", "wsd", "exponential", "step")
    ),
]


@pytest.mark.parametrize(("kind", "name", "options"), VARIANTS, ids=str)
def test_parts_with_options_pass_their_check(kind, name, options):
    check_variant(registry().get(kind, name), **options)


def tiny_trainer(watch=None, backend="python", **parts):
    corpus = Corpus(["anna", "bob", "cara", "dan"] * 10)
    chosen = {"activation": "relu", "norm": "rmsnorm", "optimizer": "adam", "scheduler": "linear"} | parts
    built = {kind: part(kind, name) for kind, name in chosen.items()}
    of_model = {kind: built[kind] for kind in MODEL_KINDS if kind in built}
    model = GPT(corpus.vocab_size, **of_model, embed=8, heads=2, block_size=6)
    watching = {"watch": watch} if watch else {}
    return Trainer(
        model, corpus, built["optimizer"], built["scheduler"], part("backend", backend), steps=40, **watching
    )


SWAPPED = [(p.kind, p.name) for p in PARTS if p.kind in (*MODEL_KINDS, "optimizer", "scheduler")]


@pytest.mark.parametrize(("kind", "name"), SWAPPED, ids=str)
def test_training_with_any_part_learns(kind, name):
    trainer = tiny_trainer(backend="numpy", **{kind: name})
    before = trainer.evaluate(trainer.corpus.train)
    trainer.train()
    assert trainer.evaluate(trainer.corpus.train) < before


def test_adam_equals_the_formula_of_kingma_and_ba():
    """The state has another scale than in the paper, but the steps are the same."""
    from microgpt_lab.testing import tensor

    adam = part("optimizer", "adam", lr=0.1, beta1=0.9, beta2=0.95, eps=1e-3)
    w, m, v = 1.0, 0.0, 0.0
    weight = tensor([[w]])
    state = adam.init(weight)
    for step, g in enumerate([0.5, -2.0, 1e-3, 0.0, 3.0]):
        weight, state = adam.update(tensor([[g]]), state, weight, 0.1, step)
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
        w -= 0.1 * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.95 ** (step + 1))) ** 0.5 + 1e-3)
        assert weight.item() == pytest.approx(w, rel=1e-12)


def test_muon_steps_are_nearly_orthogonal():
    from microgpt_lab.testing import noise

    muon = part("optimizer", "muon")
    w = noise(3, 5)
    step = (w - muon.update(noise(3, 5, seed=1), muon.init(w, "hidden"), w, 1.0, 0, "hidden")[0]).tolist()
    for i, a in enumerate(step):
        for j, b in enumerate(step):
            product = sum(x * y for x, y in zip(a, b, strict=True))
            assert (0.4 < product < 1.6) if i == j else abs(product) < 0.4


def test_warmup_rises_to_the_full_learning_rate():
    linear = part("scheduler", "linear", warmup=0.1)
    factors = [linear(step, 100) for step in range(100)]
    assert factors[:10] == sorted(factors[:10])
    assert max(factors) == factors[10] == 1.0
    assert part("scheduler", "linear")(25, 100) == 0.75
    assert part("scheduler", "linear", final=0.2)(50, 100) == pytest.approx(0.6)


def test_dropout_is_repeatable_and_off_in_evaluation():
    def losses(seed):
        trainer = tiny_trainer()
        trainer.dropout, trainer.seed = 0.5, seed
        return [trainer.advance()[0]["loss/train"] for _ in range(5)]

    assert losses(1) == losses(1) != losses(2)
    trainer = tiny_trainer()
    trainer.dropout = 0.5
    assert trainer.evaluate(["anna"]) == trainer.evaluate(["anna"])


def test_the_loss_of_a_batch_is_the_mean_over_its_tokens():
    trainer = tiny_trainer()
    trainer.batch_size = 3
    documents = trainer.corpus.train[:3]
    expected = trainer.evaluate(documents)
    assert trainer.advance()[0]["loss/train"] == pytest.approx(expected, rel=1e-12)


def test_callbacks_cannot_change_a_result():
    class Broken:
        def step_finished(self, metrics):
            metrics["loss/train"] = 0.0

    class Leaves:
        def evaluated(self):
            raise SystemExit(3)

    class Sees(list):
        def step_finished(self, metrics):
            self.append(metrics["loss/train"])

    class Stops:
        def should_stop(self, step):
            return step == 3

    warnings, plain = [], tiny_trainer()
    plain.train()
    sees = Sees()
    watched = tiny_trainer(Watchers([Broken(), Leaves(), sees], warn=warnings.append))
    watched.train()
    assert plain.weights["wte"].data == watched.weights["wte"].data
    assert len(warnings) == 2 and "broken" in warnings[0] and "leaves" in warnings[1]
    assert len(sees) == 40 and all(sees)
    stopped = tiny_trainer(Watchers([Stops()]))
    stopped.train()
    assert stopped.step == 3


def test_a_callback_may_replace_its_methods_during_a_run():
    """The methods of callbacks are looked up once, but later changes have an effect."""

    class Counts:
        def __init__(self):
            self.seen = []

        def should_stop(self, step):
            if step == 2:
                self.should_stop = self.later
                self.step_finished = lambda metrics: self.seen.append(sorted(metrics)[0])

        def later(self, metrics, step, stopped):
            self.seen.append((step, stopped, metrics["loss"]))

    counts = Counts()
    watch = Watchers([counts], warn=pytest.fail)
    for step in (1, 2, 3):
        watch("step_finished", step=step, metrics={"loss": 0.5})
        watch("should_stop", step=step, metrics={"loss": 0.5})
    assert counts.seen == ["loss", (3, False, 0.5)]


def test_only_marked_functions_of_a_module_receive_events(monkeypatch):
    received = []
    listens, ignores = types.ModuleType("listens"), types.ModuleType("ignores")
    listens.step_finished = hookimpl(lambda step: received.append(step))
    listens.evaluated = ignores.step_finished = lambda: received.append("not marked")
    monkeypatch.setattr(registry(), "plugins", [listens, ignores])
    watch = Watchers([], warn=pytest.fail)
    watch("step_finished", step=1, metrics={})
    watch("evaluated", step=1, loss=0.5, documents=1)
    assert received == [1] and watch.watchers == [listens]


def test_a_preview_is_drawn_once_per_step_and_changes_nothing(monkeypatch):
    trainer, plain = tiny_trainer(), tiny_trainer()
    trainer.advance(3)
    plain.advance(3)
    first = trainer.preview(5)
    assert first == plain.sample(Random(0), samples=5) and trainer.preview(3) == first[:3]
    assert trainer.corpus.rng.getstate() == plain.corpus.rng.getstate()
    assert trainer.preview(7)[:5] == first
    drawn = []
    monkeypatch.setattr(trainer, "sample", lambda *args, **kwargs: drawn.append(args) or ["anna"] * 5)
    trainer.preview(5)
    assert not drawn
    trainer.advance()
    assert trainer.preview(5) == ["anna"] * 5 and len(drawn) == 1


def test_options_are_checked():
    with pytest.raises(UserError, match="did you mean 'slope'"):
        part("activation", "leaky_relu", slop=0.1)
    with pytest.raises(UserError, match="choose from none, tanh"):
        part("activation", "gelu", approximate="tan")
    with pytest.raises(UserError, match="did you mean 'gelu'"):
        part("activation", "gleu")
    with pytest.raises(UserError, match="did you mean 'optimizer'"):
        part("optimiser", "adam")


def test_evaluation_builds_no_graph():
    trainer = tiny_trainer()
    tokens = trainer.corpus.tokens("anna")
    assert not trainer.model.nll(trainer.weights, tokens[:-1], tokens[1:]).is_tracked


def test_layernorm_has_mean_0_and_variance_1():
    from microgpt_lab.testing import noise

    for row in part("norm", "layernorm")(noise(3, 8) * 5.0 + 2.0).tolist():
        assert sum(row) == pytest.approx(0, abs=1e-9)
        assert sum(x * x for x in row) / 8 == pytest.approx(1, abs=1e-5)


def test_dropout_keeps_the_mean():
    (matrices,) = Dropout("any", 0.25, sites=2, width=100).masks([50])
    dropped = [x for rows in matrices for row in rows for x in row]
    assert sorted(set(dropped)) == [0.0, 1 / 0.75]
    assert sum(dropped) / len(dropped) == pytest.approx(1.0, abs=0.03)
