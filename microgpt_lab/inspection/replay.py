"""Replay a text through a trained model on the python backend, and keep every number.

>>> emma = replay("demo", "emma")
>>> emma.inside["layer0.attention.pattern"].shape  # heads, tokens, tokens
(4, 5, 5)
>>> round(emma.probabilities[2][emma.targets[2]], 3)  # of the second "m"
0.227
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from microgpt_lab.core import floats
from microgpt_lab.core.autograd import Value, topological
from microgpt_lab.core.model import GPT
from microgpt_lab.core.see import seen, unseen
from microgpt_lab.errors import UserError, printable
from microgpt_lab.inspection.recording import Recording
from microgpt_lab.registry.folders import DEMO, is_demo
from microgpt_lab.run.trained import Trained, load_trained
from microgpt_lab.tensors.shapes import on_shapes, size_of
from microgpt_lab.tensors.tensor import Tensor

Rows = list[list[float]]
END = "·"  # the label of the token that begins and ends a document
LIMIT = 300_000  # Values of a replay; with more, it has numbers, but no gradients


@dataclass(eq=False)
class Replay:
    """The forward and the backward pass of one text, on the python backend, where each number is a Value.

    ids, targets: the tokens that the model read, and those that came next, T each.
    labels: what to call the tokens of the vocabulary, in printable characters.
    weights, inside: the weights, and the tensors that model and parts name, by name.
    losses: what training minimizes, for each prediction: (T, 1). `loss` is their mean, with gradients.
    tensors: the weights, and all tensors that the loss depends on or that have a name, in order.
    left_out: characters of the text that the vocabulary lacks.
    cut: number of tokens that did not fit into the block.
    has_gradients: whether the numbers are Values. A text and model of more than LIMIT have floats alone.
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
        self.values = values_of(self.model, len(self.ids))
        self.has_gradients = self.values <= LIMIT
        if self.has_gradients:
            self.weights = {name: w.detach().tracked() for name, w in self.weights.items()}
        with Recording() as recording, seen() as self.inside:
            self.losses: Tensor = self.model.objective(self.weights, self.ids, self.targets)[0]
            self.shares: Tensor = self.losses * (1 / len(self.ids))  # what each prediction adds to the loss
            self.loss: Tensor = self.shares.total()
        self.origins = recording.origins
        if self.has_gradients:
            self.loss.backward()
        self._sorted: list[Tensor] = [x for x in topological(self.loss) if x.is_tracked]
        wanted = {id(x) for x in (*self._sorted, *self.inside.values())}
        made = [x for x in recording.made if id(x) in wanted]
        self.tensors = [*self.weights.values(), *made]
        self.logits: Rows = self.inside["logits"].tolist()
        self.probabilities: Rows = [floats.softmax(row) for row in self.logits]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def notes(self) -> list[str]:
        """What is not shown, a line each."""
        lines = []
        if self.left_out:
            names = " ".join(f"'{printable(char)}'" for char in self.left_out[:10])
            more = f" and {len(self.left_out) - 10} more" if len(self.left_out) > 10 else ""
            lines.append(f"left out, because the vocabulary lacks them: {names}{more}")
        if self.cut:
            lines.append(
                f"cut: the last {self.cut:,} tokens do not fit into block_size={self.model.block_size}"
            )
        return [*lines, self.no_gradients] if self.no_gradients else lines

    @property
    def no_gradients(self) -> str:
        """Why there are no gradients, or ""."""
        about = f"this model and text have about {self.values:,} numbers, more than {LIMIT:,}"
        return "" if self.has_gradients else f"no gradients: {about}"

    def users(self, value: Value) -> list[Tensor]:
        """The tensors, on the way to the loss, that an operation computed from those that hold a Value."""
        holders = {id(x) for x in self._sorted if value in x.data}
        return [x for x in self._sorted if not x.is_view and any(id(p) in holders for p in x.parents)]

    def gradients_by_prediction(self, values: Sequence[Value]) -> Rows:
        """The gradients of what each prediction adds to the loss, by these Values: a row for each Value."""
        columns = []
        with self._gradients_kept():
            for prediction in range(len(self)):
                self._backward(prediction)
                columns.append([value.grad for value in values])
        return [list(row) for row in zip(*columns, strict=True)]

    @contextmanager
    def _gradients_kept(self) -> Iterator[None]:
        if not self.has_gradients:
            raise UserError(self.no_gradients)
        whole = [[value.grad for value in tensor.data] for tensor in self._sorted]
        try:
            yield
        finally:
            for tensor, grads in zip(self._sorted, whole, strict=True):
                for value, grad in zip(tensor.data, grads, strict=True):
                    value.grad = grad

    def _backward(self, prediction: int) -> None:
        for tensor in self._sorted:
            for value in tensor.data:
                value.grad = 0.0
        self.shares.data[prediction].grad = 1.0
        for tensor in reversed(self._sorted):
            if tensor.parents and not tensor.is_view and tensor is not self.loss:
                tensor.propagate()


def replay(run: Trained | Path | str, text: str) -> Replay:
    """Replay a text through a run's model: as a document, or for a model of streams as it stands.

    run: the run, its folder, or "demo", a finished run that comes with the lab.
    """
    trained = run if isinstance(run, Trained) else loaded(Path(run))
    tokenizer, model = trained.tokenizer, trained.model
    labels = [*map(label, tokenizer.tokens), END]
    left_out = unknown(trained, text)
    tokens = tokenizer.encode("".join(char for char in text if char not in left_out))
    ends = [trained.bos] if trained.start == [trained.bos] else []
    ids = [*trained.start, *tokens, *ends]
    if len(ids) < 2:
        raise UserError(
            "this model of streams predicts no end of a text: give it one token or more to predict"
        )
    cut = max(0, len(ids) - model.block_size - 1)
    ids = ids[: model.block_size + 1]
    weights = {
        name: Tensor([float(x) for row in w.tolist() for x in row], tuple(w.shape))
        for name, w in trained.weights.items()
    }
    return Replay(model, labels, text, ids[:-1], ids[1:], weights, left_out, cut)


def loaded(folder: Path, warn: Callable[[str], None] = warnings.warn, *, best: bool = False) -> Trained:
    """Load a run on NumPy, so that a run of another backend needs neither a compiler nor JAX."""
    folder = DEMO if is_demo(str(folder)) else folder
    return load_trained(folder, warn, best=best, overrides=["backend=numpy"])


def label(token: str) -> str:
    """Return what to call a token: spaces can be seen, and other characters printed."""
    return printable(token).replace(" ", "␣")


def values_of(model: GPT, tokens: int) -> int:
    """Count the numbers that the weights, and one forward pass over so many tokens, consist of."""
    _, counted = unseen(partial(on_shapes, dropout=False))(model, tokens)
    shapes = (size_of(each) for each in model.declared.values())
    return sum(height * width for height, width in shapes) + sum(counted.made)


def unknown(trained: Trained, text: str) -> list[str]:
    """The characters of a text that the run's tokenizer cannot encode."""

    def is_known(char: str) -> bool:
        try:
            return bool(trained.tokenizer.encode(char))
        except ValueError:
            return False

    return [char for char in dict.fromkeys(text) if not is_known(char)]
