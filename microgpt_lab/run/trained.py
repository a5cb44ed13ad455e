"""Load the model of a run from its checkpoint, to use it without its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from microgpt_lab.core.divergence import in_range
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.sampler import Continuation
from microgpt_lab.core.tokenizer import Tokenizer
from microgpt_lab.errors import UserError
from microgpt_lab.options.changed import changed
from microgpt_lab.options.older import CHECKPOINT, has_older_weights
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run import checkpoint
from microgpt_lab.run.assemble import build
from microgpt_lab.run.folder import is_run
from microgpt_lab.run.sizes import check_size, shape


class Trained(NamedTuple):
    """The model of a run with its weights and its tokenizer.

    config: the configuration of the run.
    start: the tokens that generation starts from.
    step: the step of the checkpoint.
    """

    config: dict[str, Any]
    model: GPT
    weights: Weights
    tokenizer: Tokenizer
    start: list[int]
    step: int = 0

    @property
    def bos(self) -> int:
        """The token that begins and ends a document."""
        return len(self.tokenizer.tokens)

    def continuation(self, prompt: str = "", length: int = 0) -> Continuation:
        """Return what a sampler continues: the start of a document, and this text. See `Continuation`."""
        ids = [*self.start, *self.tokenizer.encode(prompt)]
        return Continuation(self.model, self.weights, ids, stop=self.bos, length=length)

    def documents(self, prompt: Continuation, number: int, seed: int | None = None) -> Iterator[str]:
        """Draw what follows a prompt, several times. The same seed gives the same documents.

        UserError if the logits are no numbers to draw from.
        """
        sampler, rng = build("sampler", self.config["sampler"]), Random(seed)
        for _ in range(number):
            try:
                yield self.tokenizer.decode(sampler(prompt, rng))
            except ArithmeticError as error:
                raise UserError(f"cannot sample from this model: {error}") from None


def load_trained(
    folder: Path, warn: Callable[[str], None], *, best: bool = False, overrides: Sequence[str] = ()
) -> Trained:
    """Load the model of a run with its last, or best, weights. UserError if the checkpoint is not valid.

    warn: called with a line if the previous checkpoint is used, because the last one is damaged.
    overrides: changes of the configuration: another sampler or backend, say. See `changed`.
    """
    saved = checkpoint.read_best(folder) if best else checkpoint.read(folder, warn)
    if not saved:
        advice = ": train with callback=[checkpoint], which is on by default, or resume it if it was stopped"
        raise UserError(f"there is no run with a checkpoint at {folder}{advice if is_run(folder) else ''}")
    try:
        if has_older_weights(saved.facts["config"]):
            raise UserError(f"{folder / saved.name} {CHECKPOINT}")
        config = changed(saved.facts["config"], overrides)
        start, step = list(map(int, saved.facts["start"])), int(saved.facts["step"])
        sizes = {name: config[name] for name in options_of(GPT)}
        types = {name: option.type for name, option in options_of(GPT).items()}
        if wrong := [name for name in sizes if type(sizes[name]) is not types[name]]:
            raise TypeError(f"{wrong[0]} is {sizes[wrong[0]]!r:.60}")
        if type(config["sampler"]["name"]) is not str:  # it is built by those who sample
            raise TypeError(f"sampler is {config['sampler']!r:.60}")
        parts = {kind: build(kind, config[kind]) for kind in (*MODEL_KINDS, "tokenizer", "backend")}
        check_size(config, parts)
        tokenizer = parts["tokenizer"]
        tokenizer.load_state_dict(saved.facts["tokenizer"])
        vocab_size = len(tokenizer.tokens) + 1
        model = GPT(vocab_size, **{kind: parts[kind] for kind in MODEL_KINDS}, **sizes)
        numbers, tensor = iter(saved.numbers), parts["backend"].tensor
        weights = checkpoint.unflatten(saved.facts["tensors"]["weights"], numbers, tensor)
        if not in_range(weights):
            raise ValueError("its weights are not finite, or beyond 1e77")
        for name, each in model.declared.items():
            if (size := tuple(weights[name].shape)) != (wanted := shape(name, each, config)):
                raise ValueError(f"{name} is {size}, not {wanted}")
        if not start or not all(0 <= token < vocab_size for token in start):
            raise ValueError(f"its first token is {start}")
        model.logits(weights, start[:1])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(
            f"{folder / saved.name} is not a valid checkpoint: {type(error).__name__} {error}"
        ) from None
    return Trained(config, model, weights, tokenizer, start, step)
