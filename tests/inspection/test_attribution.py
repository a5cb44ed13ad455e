"""Logits as sums: exact for every part, equal to plain NumPy, and with a list of what is held."""

import dataclasses
import json

import numpy as np
import pytest
from random_model import EMBED, HEADS, IDS, T
from replays import CASES, explained, less_mean, random_choices, replay_of, replayed

from microgpt_lab.inspection import replay as replays
from microgpt_lab.inspection.attention import heads
from microgpt_lab.inspection.attribution import attribution
from microgpt_lab.inspection.reruns import logits


def entries_of(explained, kind):
    return [np.array(entry.logits) for entry in explained.entries if entry.kind == kind]


@pytest.mark.parametrize("name", CASES)
def test_entries_add_up_to_the_logits(name):
    look, found = replayed(name)[1], explained(name)
    wanted = less_mean(look.inside["logits"])
    total = sum(np.array(entry.logits) for entry in found.entries)
    assert np.abs(total - wanted).max() < 1e-12 * max(1, np.abs(wanted).max())
    assert found.difference < 1e-12 * max(1, np.abs(wanted).max())


@pytest.mark.parametrize("seed", range(6))
def test_entries_add_up_for_random_choices_of_parts(seed):
    replay, look = replay_of(**random_choices(seed))
    found = attribution(replay)
    wanted = less_mean(look.inside["logits"])
    assert np.abs(sum(np.array(entry.logits) for entry in found.entries) - wanted).max() < 1e-12 * max(
        1, np.abs(wanted).max()
    )
    assert {entry.kind for entry in found.entries} >= {"token", "head"}


def test_a_head_brings_pattern_times_value_through_the_output_matrices():
    for name, group in (("default", 1), ("grouped queries", 2)):
        look = replayed(name)[1]
        D, inside, own = EMBED // HEADS, look.inside, look.own("layer0.attention")
        for entry in explained(name).entries:
            if entry.kind == "head":
                h, s = entry.head, entry.source
                value = inside["layer0.attention.v"][h // group, s] @ own["wo"][:, h * D : (h + 1) * D].T
                weights = inside["layer0.attention.pattern"][h, :, s]
                expected = less_mean(weights[:, None] * (value @ look.w["lm_head"].T))
                np.testing.assert_allclose(entry.logits, expected, atol=1e-13)


def test_with_a_final_norm_its_scale_is_held():
    """Center each term, divide it by the standard deviation of their sum, multiply it by the gain."""
    look, found = replayed("GPT-2")[1], explained("GPT-2")
    assert found.note.endswith("Rest: what none of these adds, such as the biases of norms.")
    w, inside = look.w, look.inside
    assert found.held == ["final_norm"] and "final_norm" in found.note and not any(found.linear)
    x = inside["final_norm.input"]
    scale = ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + 1e-5
    terms = {"token": w["wte"][IDS], "position": w["position.wpe"][:T], "mlp": inside["layer1.mlp"]}
    for kind, term in terms.items():
        normed = (term - term.mean(-1, keepdims=True)) / scale**0.5 * w["final_norm.gain"]
        np.testing.assert_allclose(entries_of(found, kind)[-1], less_mean(normed @ w["wte"].T), atol=1e-12)


def test_token_and_position_are_split_with_the_scale_of_the_embed_norm():
    look, found = replayed("wide heads")[1], explained("wide heads")
    token, position = look.w["wte"][IDS] * 4.0, look.w["position.wpe"][:T]
    scale = (((token + position) ** 2).mean(-1, keepdims=True) + 1e-5) ** -0.5
    for kind, term in (("token", token), ("position", position)):
        expected = less_mean(term * scale @ look.w["lm_head"].T)
        np.testing.assert_allclose(entries_of(found, kind)[0], expected, atol=1e-12)


def test_neurons_add_their_output_times_their_column():
    replay, look = replayed("glu")
    post, down = look.inside["layer0.mlp.post"], look.w["layer0.mlp.down"]
    whole = attribution(replay, neurons=True)
    found = [entry for entry in whole.entries if entry.kind == "neuron"]
    assert len(found) == post.shape[-1] and whole.difference < 1e-12
    for entry in found[:5]:
        row = look.w["lm_head"] @ down[:, entry.source]
        np.testing.assert_allclose(entry.logits, less_mean(post[:, [entry.source]] * row), atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_what_is_called_linear_is_linear(name):
    """The last MLP counts for no later part, so that without it, exactly its entries are missing."""
    replay, look = replayed(name)
    layer, found = look.model.layers - 1, explained(name)
    without = less_mean(logits(replay, [{f"layer{layer}.mlp": (0.0, 0.0)}])[0])
    own = [np.array(e.logits) for e in found.entries if e.kind == "mlp" and e.layer == layer]
    missing = np.abs(less_mean(look.inside["logits"]) - without - sum(own)).max()
    is_linear = missing < 1e-12 * np.abs(without).max()
    assert is_linear == (
        name not in ("GPT-2", "final norm", "tied, final norm", "post_norm", "softcap", "dyt")
    )
    assert is_linear or not found.linear[-1]


def test_inner_norms_and_caps_are_named_as_held():
    held = {name: explained(name).held for name in CASES}
    assert held["default"] == ["embed_norm"] and held["tied, no positions"] == []
    assert held["softcap"] == ["embed_norm", "logits"]
    assert explained("differential").linear == [False, False, True, False, True]
    assert held["differential"] == ["embed_norm", "layer0.attention.mixed", "layer1.attention.mixed"]
    assert held["sandwich_norm"][1:] == [f"layer{i}.norm{n}" for i in (0, 1) for n in (2, 4)]
    assert held["post_norm"][1:] == [f"layer{i}.norm{n}" for i in (0, 1) for n in (1, 2)]


def test_a_replay_without_gradients_says_that_it_has_no_sums(monkeypatch):
    monkeypatch.setattr(replays, "LIMIT", 10)
    replay, _ = replay_of()
    found = attribution(replay)
    assert not found.entries and "no gradients" in found.note
    first = heads(replay, found)[0]
    assert first.adds is None and first.pattern and "no gradients" in first.note


def test_it_is_plain_data_and_shows_itself():
    found = explained("default")
    json.dumps(dataclasses.asdict(found), allow_nan=False)
    assert "layer0 head 3" in found._repr_html_() and "after “db" in found._repr_html_()
