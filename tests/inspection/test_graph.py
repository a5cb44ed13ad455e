"""The graph that the page gets: everything in it, in the documented format, gives Python's gradients."""

import base64
import json
from array import array
from math import prod

import pytest
from replays import MODELS, read

from microgpt_lab import UserError
from microgpt_lab.core.autograd import data_of
from microgpt_lab.inspection import replay as module
from microgpt_lab.inspection.graph import graph


def unpack(packed, kind):
    numbers = array(kind)
    numbers.frombytes(base64.b64decode(packed))
    return numbers.tolist()


def numbers_of(entry):
    """The numbers of a tensor's Values."""
    first, size = entry["values"], prod(entry["shape"])
    return list(range(first, first + size)) if isinstance(first, int) else unpack(first, "I")


def edges(entry, tensors, data):
    """Yield each edge of a tensor as the docstring says: child, parent, derivative."""
    own, parents = numbers_of(entry), [numbers_of(tensors[i]) for i in entry["parents"]]
    if "derivatives" not in entry:
        (left, right), (*_, T, K), lead = parents, tensors[entry["parents"][0]]["shape"], entry["shape"][:-2]
        C = entry["shape"][-1]
        of_batch = len(tensors[entry["parents"][1]]["shape"]) > 2
        for i, child in enumerate(own):
            row, column = divmod(i, C)
            matrix = row // T if of_batch and lead else 0
            for k in range(K):
                x, y = left[row * K + k], right[(matrix * K + k) * C + column]
                yield child, x, data[y]
                yield child, y, data[x]
        return
    for parent, packed in zip(parents, entry["derivatives"], strict=True):
        each = max(1, len(parent) // len(own))
        slopes = unpack(packed, "d") if isinstance(packed, str) else [packed] * (each * len(own))
        for i, child in enumerate(own):
            for j in range(each):
                place = i * each + j if len(parent) >= len(own) else i * len(parent) // len(own)
                yield child, parent[place], slopes[i * each + j]


@pytest.mark.parametrize("model", MODELS)
def test_going_backward_through_it_gives_the_gradients_of_all_numbers(model):
    replay = read(model)
    sent = json.loads(json.dumps(graph(replay), allow_nan=False))
    data, tensors = unpack(sent["data"], "d"), sent["tensors"]
    grads, count = [0.0] * len(data), 0
    grads[sent["loss"]] = 1.0
    for entry in reversed(tensors):
        if entry["parents"] and not entry["is_view"]:
            for child, parent, derivative in edges(entry, tensors, data):
                assert parent < child
                grads[parent] += derivative * grads[child] if grads[child] else 0.0
                count += 1
    assert count == sent["counts"]["edges"] and len(data) == sent["counts"]["values"]
    for x, entry in zip(replay.tensors, tensors, strict=True):
        own = numbers_of(entry)
        assert tuple(entry["shape"]) == x.shape
        assert [data[i] for i in own] == list(map(data_of, x.data))
        if x.is_tracked:
            assert [grads[i] for i in own] == pytest.approx(
                [value.grad for value in x.data], abs=1e-12, rel=1e-12
            )
    assert [data[i] for i in sent["shares"]] == replay.shares.detach().data


def test_tensors_have_their_names_and_lines():
    sent = graph(read())
    named = {name: entry for entry in sent["tensors"] for name in entry["names"]}
    assert {*read().weights, *read().inside, "losses", "loss"} == named.keys()
    assert named["layer0.norm1.input"]["names"] == ["embed_norm", "layer0.norm1.input"]
    number, line = named["layer0.attention.pattern"]["lines"][0]
    function = sent["functions"][number]
    assert function["name"] == "Multihead.__call__"
    assert function["lines"][line - function["first"]].strip() == "pattern = at.gpt.weighting(scores)"
    assert named["layer0.attention.pattern"]["axes"] == ["head", "token", "token"]
    assert named["layer0.attention.q"]["is_view"] and named["wte"]["op"] == ""


def test_a_replay_with_too_many_numbers_has_no_gradients_and_no_graph(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 1000)
    large = module.Replay(
        *(getattr(read(), name) for name in ("model", "labels", "text", "ids", "targets")),
        {name: w.detach() for name, w in read().weights.items()},
    )
    assert not large.has_gradients and large.probabilities == read().probabilities
    assert large.notes == [
        f"no gradients: this model and text have about {large.values:,} numbers, more than 1,000"
    ]
    for look in (graph, lambda replay: replay.gradients_by_prediction([])):
        with pytest.raises(UserError, match="no gradients: "):
            look(large)
