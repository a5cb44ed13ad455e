"""Replay a text through a trained model on the python backend, and keep every number.

>>> from microgpt_lab.inspection.replay import replay   # doctest: +SKIP
>>> emma = replay(load_trained(folder, print), "emma")  # doctest: +SKIP
>>> emma.inside["layer0.attention.pattern"]             # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from microgpt_lab.core import floats
from microgpt_lab.core.autograd import topological
from microgpt_lab.core.model import GPT
from microgpt_lab.core.see import seen
from microgpt_lab.run.trained import Trained
from microgpt_lab.tensors.tensor import Tensor

Rows = list[list[float]]
END = "·"  # the label of the token that begins and ends a document


@dataclass(eq=False)
class Replay:
    """The forward and the backward pass of one text, on the python backend, where each number is a Value.

    ids, targets: the tokens that the model read, and those that came next, T each.
    labels: what to call the tokens of the vocabulary.
    weights, inside: the weights, and the tensors that model and parts name, by name.
    losses: what training minimizes, for each prediction: (T, 1). `loss` is their mean, with gradients.
    left_out: characters of the text that the vocabulary lacks.
    cut: number of tokens that did not fit into the block.
    """

    model: GPT
    labels: Sequence[str]
    text: str
    ids: list[int]
    targets: list[int]
    weights: dict[str, Tensor]
    left_out: list[str] = field(default_factory=list)
    cut: int = 0

    def __post_init__(self) -> None:
        with seen() as self.inside:
            self.losses: Tensor = self.model.objective(self.weights, self.ids, self.targets)[0]
            self.loss: Tensor = (self.losses * (1 / len(self.ids))).total()
        self.loss.backward()
        self.logits: Rows = self.inside["logits"].tolist()
        self.probabilities: Rows = [floats.softmax(row) for row in self.logits]

    def __len__(self) -> int:
        return len(self.ids)

    def gradients_of(self, prediction: int) -> dict[str, list[float]]:
        """The gradient of what one prediction adds to the loss, by weight. They add up to the whole gradient."""
        tensors = topological(self.loss)
        whole = [[value.grad for value in tensor.data] for tensor in tensors]
        for tensor in tensors:
            for value in tensor.data:
                value.grad = 0.0
        self.losses.data[prediction].grad = 1 / len(self)
        for tensor in reversed(topological(self.losses)):
            if tensor.parents and not tensor.is_view:
                tensor.propagate()
        found = {name: [value.grad for value in w.data] for name, w in self.weights.items()}
        for tensor, grads in zip(tensors, whole, strict=True):
            for value, grad in zip(tensor.data, grads, strict=True):
                value.grad = grad
        return found


def replay(trained: Trained, text: str) -> Replay:
    """Replay a text through a run's model: as a document, or for a model of streams as it stands."""
    tokenizer, model = trained.tokenizer, trained.model
    labels = [*tokenizer.tokens, END]
    left_out = unknown(trained, text)
    tokens = tokenizer.encode("".join(char for char in text if char not in left_out))
    ends = [trained.bos] if trained.start == [trained.bos] else []
    ids = [*trained.start, *tokens, *ends]
    cut = max(0, len(ids) - model.block_size - 1)
    ids = ids[: model.block_size + 1]
    weights = {
        name: Tensor([float(x) for row in w.tolist() for x in row], tuple(w.shape)).tracked()
        for name, w in trained.weights.items()
    }
    return Replay(model, labels, text, ids[:-1], ids[1:], weights, left_out, cut)


def unknown(trained: Trained, text: str) -> list[str]:
    """The characters of a text that the run's tokenizer cannot encode."""

    def is_known(char: str) -> bool:
        try:
            return bool(trained.tokenizer.encode(char))
        except ValueError:
            return False

    return [char for char in dict.fromkeys(text) if not is_known(char)]
