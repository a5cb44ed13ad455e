"""Training: batch → loss → gradients → update → watch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from microgpt_lab.data import Corpus
from microgpt_lab.errors import at_least
from microgpt_lab.model import GPT, Weights, identity
from microgpt_lab.ops import Array
from microgpt_lab.sampler import generate


class Trainer:
    """Trains a model on a corpus: `train()`, then `evaluate`, `sample` and `weights`.

    The parts: `optimizer` has `lr`, `init(w)` and `update(g, state, w, lr, step)`; `scheduler(step,
    steps)` is a factor of lr; `backend` makes tensors and differentiates. `watch(event, **facts)`
    is told what happens, and can ask to stop; it changes no numbers.
    """

    def __init__(
        self,
        model: GPT,
        corpus: Corpus,
        optimizer: Any,
        scheduler: Callable[[int, int], float],
        backend: Any,
        watch: Callable[..., bool] = lambda event, **facts: False,
        *,
        steps: int = 1000,
        batch_size: int = 1,
        eval_every: int = 500,
        eval_docs: int = 200,
        dropout: float = 0.0,
        init_std: float = 0.08,
        zero_init: bool = False,
        seed: int = 42,
    ):
        at_least(1, batch_size=batch_size, eval_docs=eval_docs)
        at_least(0, steps=steps, eval_every=eval_every, init_std=init_std)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {dropout}")
        self.model, self.corpus, self.backend, self.watch = model, corpus, backend, watch
        self.optimizer, self.scheduler = optimizer, scheduler
        self.steps, self.batch_size, self.dropout, self.seed = steps, batch_size, dropout, seed
        self.eval_every, self.held_out = eval_every, corpus.validation[:eval_docs]
        matrices = model.init(corpus.rng, std=init_std, zero=zero_init)
        self.weights: Weights = {name: backend.tensor(matrix) for name, matrix in matrices.items()}
        self.state = {name: optimizer.init(w) for name, w in self.weights.items()}
        self.grads: Weights = {}
        self.step = 0
        self.validated = -1, math.nan

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(w.shape) for w in self.weights.values())

    def train(self) -> None:
        """All steps, or until a callback asks to stop."""
        while self.step < self.steps:
            started = time.perf_counter()
            metrics, tokens = self.update()
            metrics["perf/tokens_per_s"] = tokens / (time.perf_counter() - started)
            if self.held_out and self.is_due():
                metrics["loss/val"] = self.validate()
                self.watch(
                    "evaluated", step=self.step, loss=metrics["loss/val"], documents=len(self.held_out)
                )
            self.watch("step_finished", step=self.step, metrics=metrics)
            if self.watch("should_stop", step=self.step, metrics=metrics):
                break

    def is_due(self) -> bool:
        """Whether an evaluation follows this step."""
        return self.step == self.steps or (self.eval_every > 0 and self.step % self.eval_every == 0)

    def validate(self) -> float:
        """The loss on the held-out documents, computed once a step."""
        if self.validated[0] != self.step:
            self.validated = self.step, self.evaluate(self.held_out)
        return self.validated[1]

    def update(self) -> tuple[dict[str, float], int]:
        """One step of training: its metrics, and its number of tokens."""
        pairs = [self.pair(tokens) for tokens in self.corpus.batch(self.step, self.batch_size)]
        count = sum(len(targets) for _, targets in pairs)
        dropout = self.dropout_of(self.step)

        def loss(w: Weights) -> Array:
            total, *others = [self.model.nll(w, ids, targets, dropout).total() for ids, targets in pairs]
            return sum(others, start=total) * (1 / count)

        value, grads = self.backend.value_and_grad(loss, self.weights)
        norm = math.hypot(*(g.norm() for g in grads.values()))
        if not math.isfinite(value + norm):
            raise FloatingPointError(f"step {self.step + 1}: loss {value}, gradient norm {norm}")
        lr = self.optimizer.lr * self.scheduler(self.step, self.steps)
        weights, state = {}, {}
        for name, w in self.weights.items():
            new = self.optimizer.update(grads[name], self.state[name], w, lr, self.step)
            weights[name], state[name] = new
        # All at once: whoever is interrupted keeps a step that was finished.
        self.weights, self.state, self.grads, self.step = weights, state, grads, self.step + 1
        return {"loss/train": value, "optim/lr": lr, "optim/grad_norm": norm}, count

    def pair(self, tokens: list[int]) -> tuple[list[int], list[int]]:
        """Inputs and targets, as many as the block has places."""
        size = self.model.block_size
        return tokens[:-1][:size], tokens[1 : size + 1]

    def dropout_of(self, step: int) -> Callable[[Array], Array]:
        """x · mask / (1 - p), each mask drawn for this seed and step alone."""
        if not self.dropout:
            return identity
        rng, keep = Random(f"dropout {self.seed} {step}"), 1 - self.dropout

        def drop(x: Array) -> Array:
            height, width = x.shape
            mask = [[(rng.random() < keep) / keep for _ in range(width)] for _ in range(height)]
            return x * self.backend.tensor(mask)

        return drop

    def evaluate(self, documents: Iterable[str]) -> float:
        """Total nats over total tokens, on plain numbers: nothing is differentiated."""
        nats, count = 0.0, 0
        for document in documents:
            ids, targets = self.pair(self.corpus.tokens(document))
            nats += self.model.nll(self.weights, ids, targets).total().item()
            count += len(targets)
        if not math.isfinite(nats):
            raise FloatingPointError(f"step {self.step}: held-out loss {nats / count}")
        return nats / count

    def sample(self, rng: Random | None = None, *, samples: int = 20, temperature: float = 0.5) -> list[str]:
        """New documents; `rng` None goes on with the run's own generator, as microgpt.py does."""
        bos, rng, documents = self.corpus.bos, rng or self.corpus.rng, []
        for _ in range(samples):
            ids = generate(self.model, self.weights, [bos], rng, stop=bos, temperature=temperature)
            documents.append(self.corpus.decode(ids))
        return documents
