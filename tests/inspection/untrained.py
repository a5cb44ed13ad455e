"""Models with random weights, as a run has them, and their pages."""

from random import Random

from microgpt_lab import GPT, part
from microgpt_lab.inspection.against import against
from microgpt_lab.inspection.health import health
from microgpt_lab.inspection.page import page
from microgpt_lab.inspection.replay import replay
from microgpt_lab.run.trained import Trained

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def untrained(chars=LETTERS, seed=0, activation="relu", norm="rmsnorm", **options):
    """A model of documents with random weights. Parts are names, or names with options."""

    def build(kind, chosen):
        name, own = (chosen, {}) if isinstance(chosen, str) else chosen
        return part(kind, name, **own)

    kinds = ("position", "attention", "weighting", "mlp", "block", "loss")
    parts = {kind: build(kind, options.pop(kind)) for kind in kinds if kind in options}
    tokenizer, backend, bos = part("tokenizer", "char"), part("backend", "numpy"), len(chars)
    tokenizer.load_state_dict({"tokens": list(chars)})
    model = GPT(bos + 1, build("activation", activation), build("norm", norm), **parts, **options)
    weights = {name: backend.tensor(w) for name, w in model.initial_weights(Random(seed)).items()}
    return Trained({}, model, weights, tokenizer, [bos])


def page_of(trained, text, other=None):
    """The page of a text, and its replay."""
    found = replay(trained, text)
    difference = against(found, replay(other, text)) if other else None
    return page(found, "first", health(found), difference, "second"), found
