"""The training loop: batch → loss → gradients → update → callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from microgpt_lab.core.backend import Backend, Batch, Block, Dropout
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.divergence import is_finite, until_divergence
from microgpt_lab.core.evaluation import Evaluator, objective
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.ops import Array, where
from microgpt_lab.core.pacing import next_evaluation, next_observation
from microgpt_lab.core.packing import Packing
from microgpt_lab.core.reprs import trainer_repr
from microgpt_lab.core.see import unseen
from microgpt_lab.errors import at_least, between


class Trainer(Evaluator):
    """Train a model on a corpus with `train()`, then use `evaluate`, `sample` and `weights`.

    `optimizer` has `lr`, `init(w)` and `update(g, state, w, lr, step)`, which may have an argument `role`.
    `scheduler(step, steps)` returns a factor of lr. `backend` makes tensors and computes gradients.
    `watch(event, **facts)` is called at each event and may ask to stop the training, but changes no numbers.

    steps: number of optimizer updates.
    batch_size: number of documents in each step; the loss is the mean over their tokens.
    accumulate: number of batches that a step computes one after the other, as if they were one.
    eval_every: number of steps between evaluations on the validation split (0: only at the end).
    eval_docs: number of validation documents in an evaluation (0: all); of a stream, hundreds of characters.
    dropout: probability of dropping an element of the embeddings and of the output of each attention and MLP.
    grad_clip: maximum norm of all gradients; a larger one is scaled down (Pascanu et al., 2013; 0: never).
    seed: seed of the dropout masks.
    """

    def __init__(
        self,
        model: GPT,
        corpus: Corpus,
        optimizer: Any,
        scheduler: Callable[[int, int], float],
        backend: Backend,
        watch: Callable[..., bool] = lambda event, **facts: False,
        *,
        steps: int = 1000,
        batch_size: int = 1,
        accumulate: int = 1,
        eval_every: int = 100,
        eval_docs: int = 200,
        dropout: float = 0.0,
        grad_clip: float = 0.0,
        seed: int = 42,
    ):
        at_least(1, batch_size=batch_size, accumulate=accumulate)
        at_least(0, steps=steps, eval_every=eval_every, eval_docs=eval_docs, grad_clip=grad_clip)
        between(0, 10**15, steps=steps)  # the limit in a run's files
        at_least(0, below=1, dropout=dropout)
        super().__init__(model, corpus, backend, corpus.held_out(eval_docs))
        self.optimizer, self.scheduler, self.watch = optimizer, scheduler, watch
        self.steps, self.batch_size, self.dropout, self.seed = steps, batch_size, dropout, seed
        self.grad_clip, self.eval_every, self.accumulate = grad_clip, eval_every, accumulate
        weights = {name: backend.tensor(rows) for name, rows in model.initial_weights(corpus.rng).items()}
        self.packing = Packing(optimizer, weights, model.roles)
        packed, roles = self.packing.pack(weights), self.packing.init_roles
        self.carry = packed, {name: optimizer.init(w, **roles[name]) for name, w in packed.items()}
        self.step, self.steps_per_second = 0, 1
        self.train_scan = backend.scan(unseen(self.update))
        self.gradient_scan = backend.scan(unseen(lambda w, blocks: (self.value_and_grad(w, blocks)[1], ())))

    __repr__ = trainer_repr

    @property
    def weights(self) -> Weights:
        return self.packing.unpack(self.carry[0])

    def value_and_grad(self, w: Weights, blocks: list[Block]) -> tuple[Array, Weights]:
        """Compute the loss and its terms, in one row (1, K), and the gradients of the loss."""
        return self.backend.accumulate(lambda w, block: objective(self.model, w, block), w, blocks)

    def gradients(self) -> Weights:
        """Compute the gradients of the next step. The weights do not change."""
        return self.gradient_scan(self.packing.gradient_point(self.carry), [self.inputs(self.step)[:1]])[0]

    def update(self, carry: tuple, blocks: list[Block], lr: Array | float, step: Array | int) -> tuple:
        """Make a step, as a pure function that a backend may compile: new carry, gradient norm and losses."""
        packed, state = carry
        row, grads = self.value_and_grad(self.packing.gradient_point(carry), blocks)
        grads = self.packing.pack(grads)
        first, *others = [g.norm() for g in grads.values()]
        norm = first.concat(*others).norm()
        if self.grad_clip:
            factor = where(norm > self.grad_clip, self.grad_clip / norm, 1.0)
            grads = {name: g * factor for name, g in grads.items()}
        update, roles = self.optimizer.update, self.packing.update_roles
        new = {n: update(grads[n], state[n], w, lr, step, **roles[n]) for n, w in packed.items()}
        results = norm, *(row[i : i + 1] for i in range(row.shape[-1]))
        return ({n: w for n, (w, _) in new.items()}, {n: s for n, (_, s) in new.items()}), results

    def inputs(self, step: int) -> tuple[Batch, float, int]:
        """Return the batch, the learning rate and the index of a step."""
        dropouts = Dropout.of_step(self.model, self.dropout, self.seed, step)
        pieces, parts = self.corpus.batch(step, self.batch_size * self.accumulate), self.accumulate
        batch = Batch(pieces, self.longest, mean=True, dropouts=dropouts, parts=parts)
        return batch, self.optimizer.lr * self.scheduler(step, self.steps), step

    def advance(self, steps: int = 1) -> list[dict[str, float]]:
        """Run `steps` steps, or those before one that diverges, and return their metrics.

        FloatingPointError if the first step diverges.
        """
        started = time.perf_counter()
        inputs = [self.inputs(step) for step in range(self.step, self.step + steps)]
        carry, results = self.train_scan(self.carry, inputs)
        if not is_finite(carry[0], results):
            return until_divergence(self, steps, self.packing.unpack(carry[0]), results)
        # In one assignment, so that an interrupt leaves the state after a whole step.
        self.carry, self.step = carry, self.step + steps
        seconds = time.perf_counter() - started
        self.steps_per_second = math.ceil(steps / seconds)
        speed = round(sum(batch.tokens for batch, *_ in inputs) / seconds, 1)
        terms = [f"loss/{name}" for name in self.model.loss_terms]
        return [
            {"loss/train": loss, "optim/lr": lr, "optim/grad_norm": norm, "perf/tokens_per_s": speed}
            | dict(zip(terms, values))
            for (_, lr, _), (norm, loss, *values) in zip(inputs, results)
        ]

    def train(self) -> None:
        """Run all steps, or until a callback asks to stop."""
        while self.step < self.steps:
            old_carry, done = self.carry, self.step
            for step, metrics in enumerate(self.advance(next_observation(self) - done), start=done + 1):
                if self.held_out and step == next_evaluation(self, step - 1):
                    metrics |= self.validation_metrics()
                    self.watch("evaluated", step=step, loss=self.validate(), documents=len(self.held_out))
                self.watch("step_finished", step=step, metrics=metrics)
                if self.watch("should_stop", step=step, metrics=metrics):
                    if step < self.step:  # the call computed later steps too: repeat it up to this one
                        self.carry, self.step = old_carry, done
                        self.advance(step - done)
                    return
