"""Names of tensors and numbers: full names and their ends, indices and tokens, and errors of one line."""

import pytest
from replays import MODELS, read, reading

from microgpt_lab import UserError
from microgpt_lab.inspection.names import Names


@pytest.mark.parametrize(
    "name", ["layer0.attention.wq:2:5", "attention.wq:2:5", "wq[2,5]", "wq[2, 5]", "wq:2,5", "wq:'2':5"]
)
def test_a_number_has_several_names(name):
    if "'" in name:
        with pytest.raises(UserError, match="is no number"):
            Names(read()).number(name)
    else:
        assert Names(read()).number(name) == ("layer0.attention.wq", 2 * 8 + 5)


def test_a_row_may_be_a_token_and_axes_of_length_1_may_be_left_out():
    names = Names(read())
    assert names.number("wte:e:3") == names.number("wte:4:3") == names.number("wte['e',3]") == ("wte", 35)
    assert names.number("logits:2:f") == ("logits", 2 * 7 + 5)
    assert names.number("norm1:b:0") == ("layer0.norm1", 8)
    assert names.number("losses:2") == names.number("losses:2:0") == ("losses", 2)
    assert names.number("loss") == ("loss", 0)


def test_a_token_that_looks_like_a_name_is_quoted():
    names = Names(reading(labels=[":", ",", "3", " e", "'", "f", "·"]))
    assert names.number("wte:':':0") == ("wte", 0)
    assert names.number('wte[",",0]') == ("wte", 8)
    assert names.number("wte:3:0") == ("wte", 24) and names.number("wte:'3':0") == ("wte", 16)


def test_names_that_are_printed_are_understood():
    names = Names(read())
    for name, x in names.tensors.items():
        assert names.number(names.format(name, len(x.data) - 1)) == (name, len(x.data) - 1)
    assert names.format("wte", 35) == "wte:e:3"


@pytest.mark.parametrize("model", MODELS)
def test_axes_say_what_they_stand_for(model):
    names = Names(read(model))
    kinds = {name: [kind for kind, _ in names.axes(name)] for name in names.tensors}
    assert kinds["wte"] == ["vocabulary", ""] and kinds["logits"] == ["token", "vocabulary"]
    assert kinds["layer0.end"] == ["token", ""] and kinds["losses"] == ["token", ""]
    assert kinds["layer0.attention.pattern"] == ["head", "token", "token"]
    assert kinds["layer0.attention.mixed"] == ["token", ""]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wqq:1:1", "there is no tensor 'wqq'; did you mean 'layer0.attention.wq'?"),
        ("layer0.atention.wq:1:1", "did you mean 'layer0.attention.wq'?"),
        ("unheard", "there is no tensor 'unheard'; there are wte, position.wpe, lm_head, "),
        ("input:0:0", "'input' is the end of several names: embed_norm.input, layer0.norm1.input, "),
        ("wq", "layer0.attention.wq is 8 × 8: a number of it is layer0.attention.wq:0:0, say"),
        ("wq:1:2:3", "layer0.attention.wq is 8 × 8"),
        ("wq:8:0", "layer0.attention.wq: 8 is beyond axis 0, which has 8 numbers, from 0"),
        ("wq:-1:0", "'-1' is no number; axis 0 has 8 numbers, from 0"),
        ("wq:²:0", "'²' is no number"),
        ("wte:z:0", "wte: no token 'z'; axis 0 has 7 numbers, from 0"),
        ("norm1:e:0", "layer0.norm1: 'e' is at 2, 3: write one of these"),
        ("wq[2,5", "'wq[2,5' is no name of a tensor: write "),
        ("", "'' is no name of a tensor"),
        ("a\nb\x1b[2J", r"'a\nb\x1b[2J' is no name of a tensor"),
        ("x" * 1000, "…'"),
    ],
)
def test_a_wrong_name_is_one_line(name, message):
    with pytest.raises(UserError) as error:
        Names(read()).number(name)
    assert message in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_name_in_two_layers_needs_its_layer():
    names = Names(read("groups, window, sinks"))
    assert names.number("layer1.attention.wq:0:1") == ("layer1.attention.wq", 1)
    with pytest.raises(UserError, match=r"several names: layer0\.attention\.wq, layer1\.attention\.wq$"):
        names.number("wq:0:1")


@pytest.mark.parametrize("name", MODELS)
def test_axes_of_tokens_are_those_that_are_longer_in_a_longer_text(name):
    short, long = (Names(reading(text, **MODELS[name])) for text in ("bed", "facade"))
    known, unknown = 0, 0
    for x, y in zip(short.replay.tensors, long.replay.tensors, strict=True):
        axes = zip(short.kinds[id(x)], long.kinds[id(y)], x.shape, y.shape, strict=True)
        for kind, same_kind, shorter, longer in axes:
            assert kind == same_kind
            if kind == "token":
                known += 1
                assert (shorter, longer) == (4, 7)
            elif shorter != longer and not x.is_view:
                unknown += 1
    assert known > 40 and unknown <= 1
