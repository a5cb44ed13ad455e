"""Embeddings in two dimensions, two runs on one text, the health of a run, and how views are shown."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from random_model import VOCABULARY, T
from replays import replay_of, replayed

from microgpt_lab import UserError
from microgpt_lab.inspection.against import against
from microgpt_lab.inspection.curves import curves, sparkline
from microgpt_lab.inspection.embeddings import embeddings, plane
from microgpt_lab.inspection.expected import Prediction, expected
from microgpt_lab.inspection.health import health
from microgpt_lab.inspection.rendering import Views, add, titled, to_html
from microgpt_lab.inspection.replay import replay
from microgpt_lab.run.trained import load_trained


def test_rows_in_a_plane_keep_their_distances():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(9, 2)) @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:2] + 3.0
    found = plane("x", list("abcdefghi"), flat)
    points = np.array(found.points)
    assert sum(found.explained) == pytest.approx(1) and found.explained[0] > found.explained[1]
    apart = [np.linalg.norm(x[:, None] - x, axis=-1) for x in (flat, points)]
    np.testing.assert_allclose(*apart, atol=1e-12)


def test_planes_have_the_variance_of_the_largest_components():
    found = embeddings(replayed("default")[0])
    assert [each.name for each in found] == ["wte", "position.wpe", "lm_head"]
    w = replayed("default")[1].w["wte"]
    values = np.linalg.eigvalsh(np.cov(w.T))[::-1]
    assert found[0].explained == pytest.approx(values[:2] / values.sum())
    assert found[0].labels == [*"abcdef·"] and found[1].labels == [str(i) for i in range(T)]
    assert "wte" in found._repr_html_() and len(found[0].points) == VOCABULARY


def test_two_runs_of_the_same_tokens_are_compared_token_by_token():
    first, second = replayed("default")[0], replayed("two layers")[0]
    found = against(first, second)
    sizes = [abs(each.change) for each in found.differences]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == T and not found.note
    nats = [sum(each.nats for each in expected(x)) for x in (first, second)]
    assert found.nats == pytest.approx(nats) and found.change == pytest.approx(nats[1] - nats[0])
    assert "first expected" in found._repr_html_()


def with_tokens(*tokens):
    """A replay of these tokens by a model with these alone."""
    replay, _ = replay_of()
    labels, places = [*tokens, "·"], list(range(len(tokens)))
    logits = [row[: len(labels)] for row in replay.logits[: len(labels)]]
    ids = {"ids": [len(tokens), *places], "targets": [*places, len(tokens)]}
    return SimpleNamespace(labels=labels, logits=logits, probabilities=logits, **ids)


def test_runs_of_different_tokens_are_compared_where_both_have_an_end():
    letters, pairs = with_tokens("a", "b", "c", "d"), with_tokens("ab", "cd")
    found = against(letters, pairs)
    assert sorted(each.came for each in found.differences) == ["ab", "cd", "·"]
    assert found.nats == pytest.approx([sum(each.nats for each in expected(x)) for x in (letters, pairs)])
    assert "tokens differ" in found.note
    found = against(with_tokens("a", "b", "c"), with_tokens("a", "c"))
    assert [each.came for each in found.differences] == ["a"] and "lacks" in found.note


RUN = "layers=1 embed=8 heads=2 block_size=8 steps=6 eval_every=3 batch_size=4 samples=0 backend=numpy"


@pytest.fixture(scope="module")
def run(lab_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "names.txt"
    data.write_text("\n".join(["anna", "bob", "carla", "dan", "eva", "finn"] * 20), encoding="utf-8")
    words = f"{RUN} dataset=text dataset.path={data} callback=[jsonl,checkpoint,diagnostics]".split()
    lab_in(folder, *words, f"hydra.run.dir={folder / 'run'}", check=0)
    return folder / "run", data


def test_health_is_measured_on_the_documents_of_the_run(run):
    folder, _ = run
    found = replay(load_trained(folder, print), "anna")
    measured = health(found, folder)
    kept = [json.loads(line) for line in (folder / "diagnostics.jsonl").read_text().splitlines()][-1]
    for each in measured.matrices:
        w = np.array(found.weights[each.name].tolist())
        assert each.weights == pytest.approx(np.sqrt((w * w).mean()))
        assert each.updates == pytest.approx(kept[f"updates/{each.name}"])
        assert len(measured.curves[f"updates/{each.name}"]) == 2
    assert {each.quantity for each in measured.activations} == {"rms", "dead", "saturated", "entropy"}
    assert "validation documents" in measured.of and measured.rate == pytest.approx(1 / 6)
    assert [step for step, _ in measured.curves["loss/val"]] == [3, 6]
    json.dumps(dataclasses.asdict(measured), allow_nan=False)
    assert "Loss by position" in measured._repr_html_()


def test_health_of_another_checkpoint_than_the_texts_says_so(run):
    trained = load_trained(run[0], print)
    note = "All this is of the run's last checkpoint, not of the one that the text went through."
    assert note not in health(replay(trained, "anna"), run[0]).notes
    trained.weights["wte"] = trained.weights["wte"] * 2
    assert note in health(replay(trained, "anna"), run[0]).notes


def test_the_losses_by_position_have_the_validation_loss_as_their_mean(run):
    from microgpt_lab.inspection.health import by_position
    from microgpt_lab.inspection.restored import restored

    trainer = restored(run[0])
    lengths = [len(document) + 1 for document in trainer.held_out]
    counts = [sum(length > i for length in lengths) for i in range(max(lengths))]
    total = np.dot(by_position(trainer), counts)
    assert total / sum(counts) == pytest.approx(trainer.validate(), rel=1e-12)


def test_without_the_documents_it_is_measured_on_the_text_and_says_so(run):
    folder, data = run
    found, text = replay(load_trained(folder, print), "anna"), data.read_text(encoding="utf-8")
    data.write_text("changed\n" * 9, encoding="utf-8")
    try:
        measured = health(found, folder)
    finally:
        data.write_text(text, encoding="utf-8")
    assert measured.of == "this text alone" and any("have changed" in note for note in measured.notes)
    wq = found.weights["layer0.attention.wq"]
    assert measured.matrices[3].gradients == pytest.approx(np.sqrt(np.mean([x.grad**2 for x in wq.data])))
    assert measured.matrices[3].updates is not None and len(measured.loss_by_position) == 5


def test_a_model_without_a_run_is_measured_on_the_text():
    replay, look = replayed("default")
    found = health(replay)
    dead = next(each.value for each in found.activations if each.quantity == "dead")
    assert dead == pytest.approx((look.inside["layer0.mlp.post"].max(0) == 0).mean())
    embed = next(each.value for each in found.activations if each.place == "embed")
    assert embed == pytest.approx(np.sqrt((look.inside["embed"] ** 2).mean()))
    assert all(each.updates is None for each in found.matrices) and not found.curves


def test_saturation_is_the_share_of_flat_numbers():
    replay, look = replay_of(activation="tanh")
    found = health(replay)
    share = next(each.value for each in found.activations if each.quantity == "saturated")
    assert share == pytest.approx((np.abs(np.tanh(look.inside["layer0.mlp.pre"])) > 0.97).mean(), abs=0.01)


def test_a_damaged_file_of_curves_is_one_line(tmp_path):
    assert curves(tmp_path) == {}
    (tmp_path / "diagnostics.jsonl").write_text(
        '{"step": 1, "updates/wte": null}\n{"step": 2, "updates/wte": -2}\n{"st'
    )
    assert curves(tmp_path) == {"updates/wte": [(2, -2.0)]}
    (tmp_path / "diagnostics.jsonl").write_text("no json\n")
    with pytest.raises(UserError, match=r"diagnostics\.jsonl: "):
        curves(tmp_path)
    assert sparkline([(i, float(i)) for i in range(8)]) == "▁▂▃▄▅▆▇█"


def test_labels_are_no_markup_and_no_html():
    each = Prediction(["[bold]", "</script>"], "[red]", 0.5, 0.7, 1, [("<b>", 0.5)])
    table = titled("", "[green]column")
    add(table, "[blue]cell")
    assert "[green]column" in to_html(table) and "[blue]cell" in to_html(table)
    text = to_html(Views([each]))
    assert "[bold]" in text and "[red]" in text and "<b>" not in text and "&lt;/script&gt;" in text
