"""A tensor with the labels of its axes, in a terminal and in a notebook."""

import io

import pytest
from replays import LABELS, read, reading
from rich.console import Console

from microgpt_lab import UserError
from microgpt_lab.inspection.printing import tensor


def text(found, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, emoji=False).print(found)
    return out.getvalue()


def test_it_has_the_numbers_or_the_gradients_of_the_tensor():
    replay = read()
    found = tensor(replay, "layer0.mlp.post")
    assert found.shape == (5, 32) and found.values == replay.inside["layer0.mlp.post"].tolist()
    grads = [value.grad for value in replay.inside["layer0.mlp.post"].data]
    gradients = tensor(replay, "post", gradients=True)
    assert [x for row in gradients.values for x in row] == grads
    assert "gradients of layer0.mlp.post (5 × 32)" in text(gradients)


def test_heads_are_matrices_with_tokens_as_rows_and_columns():
    found = tensor(read(), "pattern")
    assert [title for title, _ in found.matrices] == ["head 0", "head 1"]
    assert found.matrices[1][1] == found.values[5:]
    lines = [line.split() for line in text(found).splitlines()]
    assert ["0", "·", "1", "b", "2", "e", "3", "e", "4", "f"] in lines
    assert ["0", "·", "1.000", "0", "0", "0", "0"] in lines


def test_rows_of_embeddings_are_called_by_their_tokens():
    rows = [line.split() for line in text(tensor(read(), "wte")).splitlines()[2:]]
    assert [row[0] for row in rows] == LABELS


@pytest.mark.parametrize("width", [30, 80])
def test_a_wide_matrix_continues_below(width):
    shown = text(tensor(read(), "layer0.mlp.post"), width)
    heads = [line.split() for line in shown.splitlines()[2:] if line.replace(" ", "").isdigit()]
    assert max(map(len, shown.splitlines()[2:])) <= width
    assert [int(x) for head in heads for x in head] == [*range(32)] and len(heads) == (
        8 if width == 30 else 3
    )


def test_small_numbers_share_a_unit_and_zeros_are_exact():
    replay = reading()
    for i, x in enumerate(replay.inside["layer0.end"].data):
        x.data = 0.0 if i % 2 else i * 1.2345e-7
    shown = text(tensor(replay, "layer0.end"))
    assert "layer0.end (5 × 8), in units of 1e-06" in shown and " 0.247 " in shown and " 0 " in shown


def test_a_masked_score_and_tokens_with_markup_are_shown_as_they_are():
    replay = reading(labels=["[red]", "</script>", *LABELS[2:]])
    shown = text(tensor(replay, "wte"))
    assert "[red]" in shown and "</script>" in shown
    assert "&lt;/script&gt;" in tensor(replay, "wte")._repr_html_()
    assert "-inf" in text(tensor(replay, "scores"))


def test_a_number_or_a_constant_cannot_be_printed_as_a_tensor_with_gradients():
    with pytest.raises(UserError, match=r"^wte:e:3 is a number, not a tensor: write wte$"):
        tensor(read(), "wte:e:3")
    with pytest.raises(UserError, match="chosen has no gradients: it is a constant"):
        tensor(read("linear attention, experts"), "chosen", gradients=True)
