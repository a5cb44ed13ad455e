"""What was expected, at the end and at each depth; and what is lost without a piece of the model."""

import math

import numpy as np
import pytest
from random_model import IDS, TARGETS, T
from replays import CASES, explained, replayed, row_softmax

from microgpt_lab import looking
from microgpt_lab.inspection.ablation import ablations
from microgpt_lab.inspection.expected import expected, lens


def test_predictions_have_the_models_probabilities():
    replay, look = replayed("default")
    p = row_softmax(look.inside["logits"])
    for t, (each, came) in enumerate(zip(expected(replay), TARGETS, strict=True)):
        assert each.probability == pytest.approx(p[t, came], rel=1e-12)
        assert each.nats == pytest.approx(-math.log(p[t, came]), rel=1e-12)
        assert each.rank == 1 + (p[t] > p[t, came]).sum()
        assert each.context == ["abcdef·"[i] for i in IDS[: t + 1]] and each.came == "abcdef·"[came]
        assert [x for _, x in each.likeliest] == pytest.approx(np.sort(p[t])[:1:-1], rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_lens_ends_with_the_models_probabilities_and_says_whether_it_is_exact(name):
    replay, look = replayed(name)
    found = lens(replay, explained(name))
    assert found.probabilities[-1] == replay.probabilities
    assert len(found.places) == len(found.probabilities) == 1 + 2 * look.model.layers
    assert np.array(found.probabilities).sum(-1) == pytest.approx(1, abs=1e-12)
    inexact = ("GPT-2", "final norm", "tied, final norm", "post_norm", "softcap", "dyt")
    assert found.exact == (name not in inexact)


def test_the_lens_reads_the_residual_stream_with_the_output_matrix():
    replay, look = replayed("default")
    stream = [look.inside[name] for name in ("embed_norm", "layer0.norm2.input", "layer0.end")]
    wanted = [row_softmax(x @ look.w["lm_head"].T) for x in stream]
    np.testing.assert_allclose(lens(replay).probabilities, wanted, atol=1e-13)


def test_the_lens_applies_the_final_norm():
    replay, look = replayed("final norm")
    names = "embed_norm", "layer0.norm2.input", "layer0.end", "layer1.norm2.input", "layer1.end"
    for rows, name in zip(lens(replay).probabilities, names, strict=True):
        x = look.inside[name]
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * look.w["final_norm.gain"]
        np.testing.assert_allclose(rows, row_softmax(x @ look.w["lm_head"].T), atol=1e-12)


@pytest.mark.parametrize(
    "name", ["two layers", "GPT-2", "sandwich_norm", "moe", "linear attention", "no MLP"]
)
def test_ablations_are_the_loss_with_a_tensor_replaced(name):
    replay, look = replayed(name)
    found, width = ablations(replay), look.inside["layer0.attention.mixed"].shape[-1] // 4
    kinds = {each.kind for each in found}
    assert ("position" in kinds) == (name != "linear attention") and ("mlp" in kinds) == (name != "no MLP")

    def nats(change):
        with looking(change):
            losses = look.model.nll(look.tensors, IDS, TARGETS)
        return [x for (x,) in losses.tolist()]

    def without(each):
        def change(name, x):
            if each.kind == "head" and name == f"layer{each.layer}.attention.mixed":
                kept = x[: each.index * width], x[each.index * width : (each.index + 1) * width] * 0.0
                kept = (*kept, x[(each.index + 1) * width :])
                full = [part for part in kept if part.shape[-1]]
                return full[0].concat(*full[1:])
            if each.kind in ("attention", "mlp") and name == f"layer{each.layer}.{each.kind}":
                return x * 0.0
            if each.kind == "position" and name == "embed":
                places = slice(None) if each.index == -1 else [each.index]
                data = x.data.copy()
                data[places] = look.w["wte"][IDS][places]
                return type(x)(data)
            return x

        return change

    whole = nats(lambda name, x: x)
    for each in found:
        removed = nats(without(each))
        np.testing.assert_allclose(each.changes, np.subtract(removed, whole), atol=1e-11)
        assert each.loss == pytest.approx(np.mean(removed)) and len(each.came) == T


def test_a_place_without_its_vector_changes_only_what_comes_from_there_on():
    found = [each for each in ablations(replayed("default")[0]) if each.kind == "position"]
    assert [each.index for each in found] == [-1, *range(T)]
    for each in found[1:]:
        assert not np.array(each.changes[: each.index]).any() and each.changes[each.index]
