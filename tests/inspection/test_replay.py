"""A replay of a text through a trained model: what it reads, leaves out and cuts, and that it only looks."""

from random import Random

import numpy as np
import pytest

from microgpt_lab import GPT, Corpus, UserError, part
from microgpt_lab.core.documents import Stream
from microgpt_lab.inspection import replay as module
from microgpt_lab.inspection.ledger import explain
from microgpt_lab.inspection.printing import tensor
from microgpt_lab.inspection.replay import replay
from microgpt_lab.run.trained import Trained
from microgpt_lab.testing import small_trainer


def trained(documents, tokenizer=None):
    """What a run on these documents would load, before its first step."""
    corpus = Corpus(documents, tokenizer, split="none", block_size=8)
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), embed=8, block_size=8)
    backend = part("backend", "numpy")
    weights = {name: backend.tensor(rows) for name, rows in model.initial_weights(Random(0)).items()}
    return Trained({}, model, weights, corpus.tokenizer, corpus.start)


NAMES = trained(["anna", "bob </script>"])


def tokens(found):
    return [found.labels[i] for i in found.ids], [found.labels[i] for i in found.targets]


def test_a_document_begins_and_ends():
    assert tokens(replay(NAMES, "anna")) == ([*"·anna"], [*"anna·"])
    assert tokens(replay(NAMES, "")) == (["·"], ["·"])
    assert replay(NAMES, "anna").notes == []


def test_characters_that_the_vocabulary_lacks_are_left_out_and_named():
    found = replay(NAMES, "a\x1bné🙂na\ud800")
    assert tokens(found)[0] == [*"·anna"][:5] == ["·", *"anna"]
    assert found.left_out == ["\x1b", "é", "🙂", "\ud800"]
    (note,) = found.notes
    assert note == r"left out, because the vocabulary lacks them: '\x1b' 'é' '🙂' '\ud800'"
    assert replay(NAMES, "xyzwvuqjkhg").notes[0].endswith("'h' and 1 more")


def test_a_long_text_is_cut_to_the_block():
    found = replay(NAMES, "anna" * 2500)
    assert tokens(found) == ([*"·annaann"], [*"annaanna"])
    assert found.notes == ["cut: the last 9,993 tokens do not fit into block_size=8"]
    assert replay(NAMES, "annaann").cut == 0  # with its end, 8 tokens to predict


def test_a_stream_is_read_as_it_stands():
    stream = trained(Stream(["to be or\nnot to be\n" * 9]))
    assert tokens(replay(stream, "to be")) == (["\\n", *"to␣b"], [*"to␣be"])
    with pytest.raises(UserError, match="give it one token or more"):
        replay(stream, "")


def test_tokens_of_bytes_and_of_merges_have_labels():
    as_bytes = replay(trained(["ab"], part("tokenizer", "byte")), "é b")
    assert tokens(as_bytes)[0] == ["·", "<0xC3>", "<0xA9>", "␣", "b"]
    merged = replay(trained(["abab", "ababab"] * 3, part("tokenizer", "bpe", vocab_size=5)), "abab")
    assert tokens(merged)[0][1:] in (["abab"], ["ab", "ab"])
    assert explain(merged, f"wte:{tokens(merged)[0][1]}:0").grad
    assert explain(as_bytes, "wte:'<0xC3>':0").name == "wte:195:0"


def test_loss_and_gradients_are_those_of_training_on_the_document():
    trainer = small_trainer(part("backend", "numpy"), 4, mlp=part("mlp", "moe", balance=0.5))
    corpus = trainer.corpus
    run = Trained({}, trainer.model, trainer.weights, corpus.tokenizer, corpus.start)
    found, gradients = replay(run, corpus.train[0]), trainer.gradients()
    assert found.loss.item() == pytest.approx(trainer.advance()[0]["loss/train"], rel=1e-12)
    for name, expected in gradients.items():
        rows = tensor(found, name, gradients=True).values
        assert [x for row in rows for x in row] == pytest.approx(expected.data.ravel().tolist(), abs=1e-12)


@pytest.mark.parametrize("backend", ["python", "numpy"])
def test_looking_between_two_steps_does_not_change_training(backend):
    def losses(is_watched):
        trainer, found = small_trainer(part("backend", backend), 3), []
        corpus = trainer.corpus
        for _ in range(3):
            found.append(trainer.advance()[0]["loss/train"])
            if is_watched:
                run = Trained({}, trainer.model, trainer.weights, corpus.tokenizer, corpus.start)
                assert explain(replay(run, "anna"), "wq:0:1").grad
        return found, {name: w.tolist() for name, w in trainer.weights.items()}

    assert losses(True) == losses(False)


def test_a_text_with_too_many_numbers_has_no_gradients(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 1000)
    large = replay(NAMES, "anna")
    (note,) = large.notes
    assert note == f"no gradients: this model and text have about {large.values:,} numbers, more than 1,000"
    assert explain(large, "wte:a:0").note == f"{note}."
    assert tensor(large, "wte").values == NAMES.weights["wte"].tolist()
    with pytest.raises(UserError, match="no gradients: "):
        large.gradients_by_prediction([])
    with pytest.raises(UserError, match="wte has no gradients: "):
        tensor(large, "wte", gradients=True)


def test_the_number_of_values_is_known_before_they_are_made():
    found = replay(NAMES, "anna")
    made = {id(x) for t in found.tensors for x in t.data}
    assert len(made) <= found.values <= 1.2 * len(made)


@pytest.mark.slow
def test_gradients_by_name_and_probabilities_equal_pytorch():
    torch = pytest.importorskip("torch", reason="needs microgpt-lab[torch]")
    from torch.nn.functional import cross_entropy, relu, rms_norm

    from microgpt_lab.checks.pytorch import logits

    found = replay(NAMES, "anna bob")
    w = {
        name: torch.tensor(x.tolist(), dtype=torch.float64, requires_grad=True)
        for name, x in NAMES.weights.items()
    }
    z = logits(NAMES.model, w, torch.tensor([found.ids]), relu, lambda x: rms_norm(x, (8,), eps=1e-5))[0]
    losses = cross_entropy(z, torch.tensor(found.targets), reduction="none")
    each = [torch.autograd.grad(x / len(found), list(w.values()), retain_graph=True) for x in losses]
    assert found.losses.tolist() == pytest.approx(losses.detach()[:, None].numpy(), rel=1e-12)
    assert found.probabilities == pytest.approx(z.softmax(-1).detach().numpy(), rel=1e-12)
    for name, gradients in zip(w, zip(*each), strict=True):
        alone = torch.stack([gradient.flatten() for gradient in gradients], 1).numpy()
        rows = found.gradients_by_prediction(found.weights[name].data)
        assert np.array(rows) == pytest.approx(alone, abs=1e-14, rel=1e-11)
    for name, parts in zip(w, zip(*each), strict=True):
        shown = tensor(found, name, gradients=True).values
        assert shown == pytest.approx(sum(parts).numpy(), abs=1e-14, rel=1e-11)
