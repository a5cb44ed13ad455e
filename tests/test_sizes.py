"""The size of a model: parameters by kind, and large numbers as text."""

import math

import pytest

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.evaluation import kind_of_weight
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble
from microgpt_lab.terminal import with_prefix

WORDS = ["anna", "bob", "carla", "dan", "eve"] * 20


def sizes(*overrides):
    trainer = assemble(compose(["backend=numpy", "eval_docs=1", *overrides]), WORDS)
    return trainer.parameters, trainer.parameters_by_kind


def test_the_parameters_of_the_default_model_by_kind():
    names = ["".join(chr(97 + i) for i in range(26))] * 10
    corpus = Corpus(names)
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"))
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "python")
    trainer = Trainer(model, corpus, *parts)
    wte, matrix = 27 * 16, 16 * 16
    assert trainer.parameters == 4192
    assert list(trainer.parameters_by_kind.items()) == [
        ("embedding", wte),
        ("position", matrix),
        ("attention", 4 * matrix),
        ("mlp", 8 * matrix),
        ("head", wte),
    ]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["position=rope", "tie_embeddings=true"], {"position": None, "head": None}),
        (
            ["block=rezero", "norm=layernorm", "norm.gain=true", "final_norm=true"],
            {"block": 2, "norm": 2 * 16},
        ),
        (["mlp=none", "bias=true"], {"mlp": None, "attention": 4 * 16 * 17}),
        (["mlp=moe", "optimizer=muon"], {"mlp": 4 * 16 + 2 * 64 * 16}),
    ],
)
def test_parameters_by_kind_add_up(overrides, expected):
    total, kinds = sizes(*overrides)
    assert sum(kinds.values()) == total
    assert {kind: kinds.get(kind) for kind in expected} == expected


def test_a_weight_belongs_to_the_part_that_declares_it():
    kinds = {"wte": "embedding", "lm_head": "head", "position.wpe": "position", "embed_norm.gain": "norm"}
    kinds |= {"layer11.norm2.bias": "norm", "layer0.block.gain1": "block", "layer3.mlp.my.odd": "mlp"}
    assert {name: kind_of_weight(name) for name in kinds} == kinds


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *[(0, "0"), (24, "24"), (999, "999"), (999.5, "1 k"), (24_096, "24.1 k"), (999_500, "1 M")],
        *[(1_976_448, "1.98 M"), (3e9, "3 G"), (1.5e12, "1.5 T"), (2e16, "20,000 T")],
    ],
)
def test_large_numbers_have_a_prefix_and_three_digits(number, text):
    assert with_prefix(number) == text
    figures, _, prefix = text.partition(" ")
    size = float(figures.replace(",", "")) * 1000 ** " kMGT".index(prefix or " ")
    assert math.isclose(size, number, rel_tol=0.005)
