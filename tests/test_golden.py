"""The lab gives the published losses and samples of microgpt.py, and those of an independent copy."""

import json
import math
from pathlib import Path

import pytest
from benchmarks.reference import Node, Reference

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.reading import lines
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble, load_documents

GOLDEN = Path(__file__).parent / "golden"
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
US_NAMES = Path(__file__).parents[1] / "plugins" / "datasets" / "us_names.txt"


def train(documents, steps, *, activation="relu", seed=42, optimizer=None, of=1000, **options):
    """Train the first `steps` of a run of `of` steps. Returns the losses and the trainer."""
    sizes = {k: options.pop(k) for k in ("layers", "heads", "embed", "block_size") if k in options}
    corpus = Corpus(documents, split="none", seed=seed, block_size=sizes.get("block_size", 16))
    model = GPT(corpus.vocab_size, part("activation", activation), part("norm", "rmsnorm"), **sizes)
    parts = (
        part("optimizer", "adam", **optimizer or {}),
        part("scheduler", "linear"),
        part("backend", "python"),
    )
    trainer = Trainer(model, corpus, *parts, steps=of, seed=seed, **options)
    return [trainer.advance()[0]["loss/train"] for _ in range(steps)], trainer


def published():
    return [float(line.split()[1]) for line in (GOLDEN / "microgpt_losses.txt").read_text().splitlines()]


def test_the_first_200_losses_equal_the_published_ones(karpathy_names):
    losses, _ = train(lines(karpathy_names), 200)
    assert losses == pytest.approx(published()[:200], rel=0, abs=1e-9)


@pytest.mark.slow
def test_all_losses_and_samples_equal_the_published_ones(karpathy_names):
    losses, trainer = train(lines(karpathy_names), 1000)
    assert losses == pytest.approx(published(), rel=0, abs=1e-6)
    samples = (line.split(": ")[1] for line in (GOLDEN / "microgpt_samples.txt").read_text().splitlines())
    assert trainer.sample() == list(samples)


def silu(x):
    return x * (Node(1.0) + (-x).exp()) ** -1


SETTINGS = {
    "another seed": {"seed": 7, "embed": 8},
    "wide and deep": {"layers": 2, "embed": 12, "heads": 2, "seed": 1},
    "one head, short block": {"heads": 1, "embed": 8, "block_size": 4, "seed": 3},
    "many heads": {"heads": 8, "embed": 8, "layers": 3, "seed": 5},
    "square relu": {"activation": "relu2", "embed": 8, "seed": 2},
    "silu": {"activation": "silu", "embed": 8, "seed": 4},
}
QUICK = ("another seed", "square relu")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=name, marks=[pytest.mark.thorough] * (name not in QUICK))
        for name, settings in SETTINGS.items()
    ],
)
def test_losses_equal_an_independent_copy_of_the_algorithm(settings):
    documents = lines(US_NAMES)[:500]
    activations = {"relu2": lambda x: x.relu() ** 2, "silu": silu, "relu": Node.relu}
    chosen = settings | {"activation": activations[settings.get("activation", "relu")]}
    reference = Reference(documents, **chosen)
    expected = [reference.train_step() for _ in range(3)]
    assert train(documents, 3, **settings)[0] == pytest.approx(expected, rel=0, abs=1e-12)


def edition_243():
    return [float(line.split()[1]) for line in (GOLDEN / "edition243_losses.txt").read_text().splitlines()]


def test_the_recipe_of_the_243_lines_gives_their_losses(karpathy_names):
    """The recipe itself, not a copy of its settings, trains the first 60 steps of this edition."""
    config = compose(["experiment=microgpt-243", f"dataset.path={karpathy_names}", "backend=python"])
    trainer = assemble(config, load_documents(config))
    losses = [metrics["loss/train"] for metrics in trainer.advance(60)]
    assert losses == pytest.approx(edition_243(), rel=0, abs=1e-13)


def test_an_independent_copy_of_the_243_lines_gives_their_losses(karpathy_names):
    """Squared ReLU, block size 8, small initial weights, zero projections, other betas, cosine schedule."""
    reference = Reference(
        lines(karpathy_names),
        block_size=8,
        std=0.02,
        zero=True,
        steps=500,
        betas=(0.9, 0.95),
        activation=lambda x: x.relu() ** 2,
        schedule=lambda t: 0.5 * (1 + math.cos(math.pi * t)),
    )
    losses = [reference.train_step() for _ in range(4)]
    assert losses == pytest.approx(edition_243()[:4], rel=0, abs=1e-13)


def test_the_expected_losses_of_the_243_lines_equal_the_golden_file():
    expected = json.loads((EXPERIMENTS / "microgpt-243" / "expected.json").read_text())["check"]["steps"]
    known = {str(step): loss for step, loss in enumerate(edition_243(), start=1)}
    both = known.keys() & expected.keys()
    assert len(both) >= 4
    assert {step: expected[step] for step in both} == pytest.approx(
        {step: known[step] for step in both}, rel=0, abs=1e-13
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microgpt", "microgpt-243"])
def test_recipes_give_their_expected_losses_and_samples(lab, tmp_path, karpathy_names, name):
    expected = json.loads((EXPERIMENTS / name / "expected.json").read_text())
    lab(f"experiment={name}", f"dataset.path={karpathy_names}", "hydra.run.dir=run", check=0)
    rows = (json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    losses = {str(row["step"]): row["loss/train"] for row in rows}
    steps = expected["check"]["steps"]
    assert {step: losses[step] for step in steps} == pytest.approx(
        steps, rel=0, abs=expected["check"]["tolerance"]
    )
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["samples"] == expected["samples"]
