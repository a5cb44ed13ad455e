"""A small model with random weights, and what it computes of a few tokens, as arrays."""

from random import Random

import numpy as np

from microgpt_lab import GPT, part, seen

IDS, TARGETS, VOCABULARY, EMBED, HEADS = [3, 1, 4, 1, 5, 0, 2, 6], [1, 4, 1, 5, 0, 2, 6, 6], 7, 24, 4
T, BACKEND = len(IDS), part("backend", "numpy")


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


class Look:
    """A model with random weights, and what it computes of IDS. Parts are names, or names with options.

    `w` are the weights, `inside` the named tensors, `x` the input of the first attention, all as arrays.
    """

    def __init__(self, activation="relu", norm="rmsnorm", **chosen):
        kinds = ("position", "attention", "weighting", "mlp", "block", "init", "loss")
        parts = {kind: built(kind, chosen.pop(kind)) for kind in kinds if kind in chosen}
        sizes = {"embed": EMBED, "heads": HEADS, "block_size": T} | chosen
        self.model = GPT(VOCABULARY, built("activation", activation), built("norm", norm), **parts, **sizes)
        rng = np.random.default_rng(0)
        shapes = {name: np.shape(rows) for name, rows in self.model.initial_weights(Random(0)).items()}
        self.w = {name: rng.normal(0.0, 0.4, shape) for name, shape in shapes.items()}
        self.tensors = {name: BACKEND.tensor(w.tolist()) for name, w in self.w.items()}
        with seen() as inside:
            self.model.logits(self.tensors, IDS)
        self.inside = {name: np.array(x.data) for name, x in inside.items()}
        self.x = self.inside.get("layer0.norm1")

    def own(self, place):
        """The weights at a place, by the part's own names."""
        return {name[len(place) + 1 :]: w for name, w in self.w.items() if name.startswith(f"{place}.")}


def built(kind, chosen):
    name, options = (chosen, {}) if isinstance(chosen, str) else chosen
    return part(kind, name, **options)
