"""Named tensors inside a model: all are in the table of docs/inside.md; looks act where they should."""

import random
import re
from pathlib import Path

import pytest
from needs import needs

from microgpt_lab import GPT, Corpus, Trainer, looking, part, see, seen
from microgpt_lab.core.see import unseen
from microgpt_lab.registry.plugins import registry
from microgpt_lab.testing import tensor

PAGE = Path(__file__).parents[1] / "docs" / "inside.md"
IDS = [4, 0, 2]
CHOSEN = [
    (kind, name) for kind, name in registry().parts if kind in ("attention", "mlp", "block", "position")
]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("c", "jax")]  # to compile


def small_model(**options):
    sizes = {"heads": 2, "embed": 4, "block_size": 6, "final_norm": True} | options
    model = GPT(5, part("activation", "gelu"), part("norm", "rmsnorm"), **sizes)
    return model, {name: tensor(rows) for name, rows in model.initial_weights(random.Random(1)).items()}


def small_trainer(backend):
    corpus = Corpus(["anna", "bob", "carla", "dan"] * 8, block_size=6)
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), embed=4, block_size=6)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *parts, steps=3, eval_every=0)


def without_mlp(name, x):
    return x * 0.0 if name == "layer0.mlp" else x


def test_the_table_in_the_docs_has_all_names_with_their_shapes():
    rows = re.findall(r"^\| `(\S+)` \| (\(.*?\)) \|", PAGE.read_text(encoding="utf-8"), flags=re.M)
    documented, found = dict(rows), set()
    for kind, name in CHOSEN:
        options = {"kv_heads": 1} if name == "multihead" else {}
        model, w = small_model(**{kind: part(kind, name, **options)})
        with seen() as inside:
            model.logits(w, IDS)
        sizes = {"T": 3, "S": 3, "C": 4, "D": 2, "heads": 2, "experts": 4, "vocab_size": 5}
        sizes["kv_heads"] = getattr(model.attention, "kv_heads", 0) or 2
        sizes["hidden"] = inside.get("layer0.mlp.pre", inside["logits"]).shape[-1]
        for seen_name, x in inside.items():
            general = re.sub(r"^layer\d+", "layerN", seen_name)
            assert general in documented, f"{kind}={name}: {seen_name} is not in the table"
            assert x.shape == eval(documented[general].replace("·", "*"), {}, sizes), (
                f"{kind}={name}: {seen_name}"
            )
            found.add(general)
    assert found == documented.keys()


def test_names_of_weights_and_tensors_are_fit_for_identifiers():
    model, w = small_model(layers=2, mlp=part("mlp", "moe"))
    with seen() as inside:
        model.logits(w, IDS)
    names = [*w, *inside]
    assert all(re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)*", name) for name in names)
    assert len({name.replace(".", "_") for name in names}) == len(names)


def test_seen_collects_what_matches_while_it_lasts():
    model, w = small_model(layers=2)
    with seen("layer1.*", "logits") as inside, seen("nothing") as nothing:
        logits = model.logits(w, IDS)
    model.logits(w, [1])
    assert inside["logits"] is logits and logits.shape == (3, 5)
    assert {name.partition(".")[0] for name in inside} == {"layer1", "logits"} and not nothing


@pytest.mark.parametrize("backend", ["python", "numpy", "jax"])
def test_a_replacement_changes_the_model_and_only_while_it_lasts(backend):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    model, w = small_model()
    w = {name: part("backend", backend).tensor(x.tolist()) for name, x in w.items()}
    plain = model.logits(w, IDS).tolist()
    with looking(without_mlp):
        ablated = model.logits(w, IDS).tolist()
    attention_alone, _ = small_model(mlp=part("mlp", "none"))
    fewer = {name: x for name, x in w.items() if ".mlp." not in name}
    assert ablated == attention_alone.logits(fewer, IDS).tolist() != plain


def test_looks_act_in_the_order_in_which_they_begin_and_end_with_an_error():
    with looking(lambda name, x: x + 1), looking(lambda name, x: x * 10), seen() as inside:
        assert see("x", 1) == 20
    with pytest.raises(ZeroDivisionError), looking(lambda name, x: 1 / 0):
        see("x", 1)
    assert inside == {"x": 20} and see("x", 1) == 1


def test_gradients_flow_through_a_replacement():
    model, w = small_model()
    w = {name: x.tracked() for name, x in w.items()}
    with looking(without_mlp), seen("layer0.attention.pattern") as inside:
        model.nll(w, IDS, [0, 2, 1]).total().backward()
    assert not any(x.grad for x in w["layer0.mlp.fc1"].data)
    assert any(x.grad for x in w["layer0.attention.wo"].data)
    assert any(x.grad for x in inside["layer0.attention.pattern"].data)


@pytest.mark.parametrize("backend", ["python", "numpy", *SLOW])
def test_training_and_evaluation_run_unseen_and_no_look_is_recorded(backend):
    needs(backend)

    def results(trainer):
        metrics, loss = trainer.advance(2), trainer.evaluate(trainer.held_out)
        gradients = {name: x.tolist() for name, x in trainer.gradients().items()}
        return [each["loss/train"] for each in metrics], loss, gradients

    expected, trainer = results(small_trainer(backend)), small_trainer(backend)
    with looking(without_mlp), seen() as inside:
        assert results(trainer) == expected
        assert not inside
        trainer.sample(samples=1)
        assert "layer0.mlp" in inside  # generation is seen
    assert trainer.evaluate(trainer.held_out) == expected[1]
    other = small_trainer(backend)
    results(other)
    assert trainer.advance()[0]["loss/train"] == other.advance()[0]["loss/train"]


def test_looks_that_are_set_aside_come_back_after_an_error():
    with seen() as inside:
        with pytest.raises(ZeroDivisionError):
            unseen(lambda: see("x", 1 / 0))()
        unseen(lambda: see("x", 1))()
        see("y", 2)
    assert inside == {"y": 2}
