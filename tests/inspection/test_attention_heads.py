"""Attention patterns with what each look adds, equal to the named tensors, and notes where they mislead."""

import numpy as np
import pytest
from random_model import HEADS, TARGETS, T
from replays import CASES, explained, replayed

from microgpt_lab.inspection.attention import heads
from microgpt_lab.inspection.rendering import shade


@pytest.mark.parametrize("name", CASES)
def test_patterns_are_the_models_and_looks_add_what_the_attribution_says(name):
    replay, look = replayed(name)
    whole = explained(name)
    found = heads(replay, whole)
    assert [(head.layer, head.head) for head in found] == [
        (layer, h) for layer in range(look.model.layers) for h in range(HEADS)
    ]
    for head in found:
        np.testing.assert_allclose(
            head.pattern, look.inside[f"layer{head.layer}.attention.pattern"][head.head], rtol=1e-11
        )
        assert head.exact == whole.linear[2 * head.layer + 1] == ("held" not in head.note)
        adds = np.zeros((T, T))
        for entry in whole.entries:
            if (entry.kind, entry.layer, entry.head) == ("head", head.layer, head.head):
                adds[:, entry.source] = [entry.logits[t][came] for t, came in enumerate(TARGETS)]
        assert head.adds == adds.tolist() and not np.triu(adds, 1).any()


def test_notes_say_what_is_no_softmax():
    notes = {name: {head.note for head in heads(replayed(name)[0], explained(name))} for name in CASES}
    assert notes["default"] == notes["grouped queries"] == {""}
    assert notes["linear attention"] == {
        "layer0.attention: weights that add up to 1, but no softmax of scores."
    }
    assert notes["relu2"] == {"layer0.attention: the weights of a token do not add up to 1."}
    assert any("negative" in note for note in notes["differential"])


def test_the_picture_shows_each_token_and_the_largest_look():
    found = heads(replayed("default")[0])
    text = str(found[0].drawn())
    assert text.startswith("layer 0 head 0\n") and text.count("\n") == T + 1
    assert "layer 0 head 3" in found._repr_html_()


def test_a_weight_is_shaded_from_two_percent_on():
    shades = [shade(weight).plain for weight in (0.019, 0.02, 1 / 14, 0.25, 0.5, 0.75, 1)]
    assert shades == ["  ", "░░", "░░", "▒▒", "▓▓", "██", "██"]
