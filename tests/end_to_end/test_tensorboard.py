"""Read what TensorBoard shows, with its own reader."""

import json
from collections import Counter
from importlib import import_module
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgpt_lab import UserError, part, seen
from microgpt_lab.options.compose import compose
from microgpt_lab.options.differences import differences
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.record import Run
from microgpt_lab.run.watchers import Watchers

registry()
experts = import_module("microgpt_lab_plugins.callbacks.tensorboard.experts")

SHORT = ("steps=4", "eval_docs=3", "train_docs=100", "samples=2", "embed=8", "eval_every=2")


@pytest.fixture
def events():
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs microgpt-lab[board]"
    )

    def read(folder):
        sizes = {"scalars": 0, "histograms": 0, "tensors": 0, "images": 0}
        return accumulator.EventAccumulator(str(folder), size_guidance=sizes).Reload()

    return read


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def means(run, window=100):
    """Running mean of the training loss over the last steps, by step."""
    losses = [row["loss/train"] for row in rows(run)]
    recent = (losses[max(0, step - window) : step] for step in range(1, len(losses) + 1))
    return {step: sum(some) / len(some) for step, some in enumerate(recent, start=1)}


def shown(board, tag):
    return {event.step: event.value for event in board.Scalars(tag)}


def test_scalars_texts_and_histograms_match_the_run(lab, tmp_path, events):
    changed = ("steps=104", "eval_every=52", "activation=gelu", "callback.tensorboard.histograms=true")
    lab("eval_docs=3", "samples=2", "embed=8", *changed, "hydra.run.dir=run", check=0)
    run = tmp_path / "run"
    board = events(run)
    for tag in ("loss/train", "loss/val", "optim/lr", "optim/grad_norm", "perf/tokens_per_s"):
        assert shown(board, tag) == pytest.approx(
            {r["step"]: r[tag] for r in rows(run) if tag in r}, rel=1e-6
        )
    assert shown(board, "eval/loss") == shown(board, "loss/val")
    assert shown(board, "loss/train_mean") == pytest.approx(means(run), rel=1e-6)
    assert "over the last 100 steps" in board.SummaryMetadata("loss/train_mean").summary_description
    texts = {
        tag.removesuffix("/text_summary"): board.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
        for tag in board.Tags()["tensors"]
    }
    assert "activation:" in texts["settings/configuration"]
    assert all(f"`{key}`" in texts["settings/changed"] for key in ("embed=8", "activation=gelu"))
    assert "seed" not in texts["settings/changed"]
    summary = json.loads((run / "summary.json").read_text())
    for kind, number in summary["parameters_by_kind"].items():
        assert f"| {kind} | {number:,} |" in texts["settings/model"]
    assert f"{summary['flops_per_token']:,}" in texts["settings/model"]
    assert "Training minimizes cross-entropy." in texts["settings/model"]
    assert all(sample in texts["samples"] for sample in summary["samples"])
    # TensorBoard sorts tags, so the names decide what a page shows first.
    assert sorted(texts)[:2] == ["samples", "settings/changed"]
    figures = [*board.Tags()["scalars"], *board.Tags()["histograms"]]
    groups = sorted({tag.partition("/")[0] for tag in figures})
    assert groups == ["eval", "loss", "model", "optim", "perf"]
    assert {"model/weights/wte", "model/gradients/layer0.attention.wo"} <= set(figures)


def test_values_from_a_recipe_count_as_differences(lab, tmp_path):
    recipe = tmp_path / "home" / "experiments" / "mine" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        "# @package _global_\ndefaults: [override /activation: gelu, override /dataset: text]\n"
        "layers: 2\nactivation: {approximate: tanh}\nblock_size: 8\ndataset: {path: some.txt}\n"
    )
    (tmp_path / "some.txt").write_text("to be or not\n" * 20)
    lab("experiment=mine", "steps=0", "samples=0", "callback=[jsonl,console]", "hydra.run.dir=run", check=0)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert differences(config) == {
        "activation": ("gelu", "relu"),
        "dataset": ("text", "us_names"),
        "callback": ("[jsonl,console]", "[console,jsonl,tensorboard,samples,checkpoint]"),
        "activation.approximate": ("tanh", "none"),
        "dataset.path": ("some.txt", ""),  # its block_size comes from the run and is no difference
        "layers": (2, 1),
        "block_size": (8, 16),
        "steps": (0, 1000),
        "samples": (0, 20),
    }


@pytest.fixture(scope="module")
def config():
    small = ["embed=4", "heads=1", "block_size=2", "train_docs=50", "eval_docs=1", "eval_every=1"]
    return compose([*small, "backend=numpy", "callback=[tensorboard]"])


def trained(config, folder, figures=(), **options):
    """Train with TensorBoard's callback, built with these options, alone. Return the trainer.

    figures: names of methods of the trainer whose results the summary has, by key.
    """
    trainer = assemble(config, load_documents(config))
    trainer.watch = Watchers([part("callback", "tensorboard", **options)], warn=pytest.fail)
    run = Run(config, folder)
    trainer.watch("run_started", run=run, trainer=trainer)
    trainer.train()
    summary = {"status": "ok", "steps": trainer.step, "samples": ["anna"]}
    summary |= {key: getattr(trainer, name)() for key, name in dict(figures).items()}
    trainer.watch("run_finished", run=run, summary=summary)
    return trainer


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("steps", "apart"),
    [(1001, 5), *(pytest.param(steps, 4, marks=pytest.mark.slow) for steps in (998, 1000))],
)
def test_a_curve_has_at_most_250_evenly_spaced_points_and_the_last(tmp_path, events, config, steps, apart):
    trained(config | {"steps": steps}, tmp_path)
    board, expected = events(tmp_path), sorted({*range(apart, steps + 1, apart), steps})
    assert len(expected) <= 250
    scalars = ["eval/loss", "loss/train", "loss/train_mean", "loss/val"]
    scalars += ["optim/grad_norm", "optim/lr", "perf/tokens_per_s"]
    assert sorted(board.Tags()["scalars"]) == scalars
    for tag in scalars:
        assert [event.step for event in board.Scalars(tag)] == expected
    assert [event.step for event in board.Tensors("samples/text_summary")] == expected


@pytest.mark.parametrize(("block_size", "at"), [(16, [2, 4, 5]), (2, [5])])
def test_bits_per_character_are_shown_at_each_evaluation_or_at_the_end(
    tmp_path, events, config, block_size, at
):
    """If documents are longer than the block, they are scored whole only at the end."""
    sizes = {"steps": 5, "eval_every": 2, "block_size": block_size}
    trainer = trained(config | sizes, tmp_path, {"bits_per_char/val": "bits_per_char"})
    bits = shown(events(tmp_path), "eval/loss_bits_per_char")
    assert list(bits) == at and len(events(tmp_path).Scalars("eval/loss_bits_per_char")) == len(at)
    assert bits[5] == pytest.approx(trainer.bits_per_char(), rel=1e-6)


@settings(max_examples=300)
@given(st.integers(1, 10**15), st.integers(0, 10**6), st.integers(0, 10**6))
@example(10**15, 1, 0)
def test_points_are_as_far_apart_as_configured(steps, eval_every, every):
    """This holds for steps and evaluations, up to the end of a run of any length."""
    board = part("callback", "tensorboard", every=every)
    board.trainer = SimpleNamespace(steps=steps, eval_every=eval_every)
    for evaluation, apart in ((False, 1), (True, eval_every or steps)):
        count = -(-steps // apart)
        gap = -(-every // apart) or -(-count // 250)
        assert count // gap + (count % gap > 0) <= 250 or every
        for number in {1, gap, 2 * gap, count - count % gap, count - 1, count}:
            if not 1 <= number <= count:
                continue
            step = min(steps, number * apart)
            assert board.is_point(step, evaluation=evaluation) == (number % gap == 0 or number == count)


def test_all_terms_of_the_training_loss_are_shown(tmp_path, events, config):
    parts = {"loss": {"name": "z_loss", "weight": 0.5}, "mlp": MIXTURE}
    trained(config | parts | {"steps": 3}, tmp_path)
    board = events(tmp_path)
    terms = [shown(board, f"loss/{name}") for name in ("ce", "penalty", "balance")]
    for step, loss in shown(board, "loss/train").items():
        assert loss == pytest.approx(sum(term[step] for term in terms), rel=1e-6)
        assert all(term[step] > 0 for term in terms)
    (text,) = board.Tensors("settings/model/text_summary")[-1].tensor_proto.string_val
    assert "Training minimizes cross-entropy + penalty + balance." in text.decode()


MIXTURE = {"name": "moe", "experts": 3, "top_k": 2, "ratio": 1.0, "balance": 0.1}


@pytest.mark.parametrize("backend", ["python", "numpy", "jax"])
def test_the_load_of_an_expert_is_the_share_of_tokens_that_choose_it(config, backend):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    sizes = {"layers": 2, "steps": 0, "eval_docs": 5, "block_size": 4, "embed": 8, "mlp": MIXTURE}
    config = config | sizes | {"backend": {"name": backend}}
    trainer = assemble(config, load_documents(config))
    with_gate, tokens = Counter(), 0
    for piece, _ in trainer.pieces(trainer.held_out):
        with seen("layer*.mlp.gates") as inside:
            trainer.model.logits(trainer.weights, piece[:-1])
        tokens += len(piece) - 1
        for i in range(2):
            for row in inside[f"layer{i}.mlp.gates"].tolist():
                with_gate.update(f"moe/layer{i}/expert{e}" for e, gate in enumerate(row) if gate)
    assert sum(with_gate.values()) == 2 * MIXTURE["top_k"] * tokens
    loads = experts.expert_loads(trainer)
    assert loads == pytest.approx({tag: count / tokens for tag, count in with_gate.items()})


def test_loads_of_experts_are_shown_at_each_evaluation(tmp_path, events, config):
    trainer = trained(config | {"steps": 4, "eval_every": 2, "mlp": MIXTURE}, tmp_path)
    board, last = events(tmp_path), experts.expert_loads(trainer)
    for tag, load in last.items():
        assert list(shown(board, tag)) == [2, 4]
        assert shown(board, tag)[4] == pytest.approx(load, rel=1e-6)
    assert len(last) == MIXTURE["experts"]


def test_every_sets_the_number_of_steps_between_points(tmp_path, events, config):
    trained(config | {"steps": 20, "eval_every": 3}, tmp_path, every=8)
    board = events(tmp_path)
    assert list(shown(board, "loss/train")) == [8, 16, 20]
    assert list(shown(board, "loss/val")) == [9, 18, 20]


def test_points_far_apart_do_not_interrupt_the_backend():
    assert Watchers([part("callback", "tensorboard", every=3)]).every == []
    with pytest.raises(
        UserError, match=r"^callback=tensorboard: callback.tensorboard.every must be at least 0, not -1$"
    ):
        part("callback", "tensorboard", every=-1)


KILLER = """
import os
from microgpt_lab import hookimpl

@hookimpl
def step_finished(step):
    if step == 3:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("every", "steps"), [(0, [1, 2, 3]), (2, [2])])
def test_a_killed_run_loses_no_point_that_was_due(lab, tmp_path, events, every, steps):
    """Events are passed to the kernel when the step ends, so a kill -9 loses none."""
    killer = tmp_path / "killer"
    killer.mkdir()
    (killer / "killer.py").write_text(KILLER)
    options = (*SHORT, f"callback.tensorboard.every={every}", "hydra.run.dir=run")
    lab(*options, env={"MICROGPT_LAB_PLUGINS": str(killer)}, check=-9)
    assert [event.step for event in events(tmp_path / "run").Scalars("loss/train")] == steps
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3]


def test_a_resumed_run_continues_its_running_mean(lab, tmp_path, events):
    killer = tmp_path / "killer"
    killer.mkdir()
    (killer / "killer.py").write_text(KILLER)
    often = (*SHORT, "callback.checkpoint.every=2", "hydra.run.dir=run")
    lab(*often, env={"MICROGPT_LAB_PLUGINS": str(killer)}, check=-9)
    lab("resume", "run", check=0)
    board = events(tmp_path / "run")
    assert shown(board, "loss/train_mean") == pytest.approx(means(tmp_path / "run"), rel=1e-6)
    assert "over the last 100 steps" in board.SummaryMetadata("loss/train_mean").summary_description
