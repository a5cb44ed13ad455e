"""Execute an exported file: to find out which methods it calls, and to check it."""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from microgpt_lab.core.data import Corpus
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.exchange.python_file.live import TRACED

NAME = "microgpt_lab_exported"


@contextlib.contextmanager
def loaded(text: str, **constants: Any) -> Iterator[dict[str, Any]]:
    """Load a text as a module, and yield its names, with other constants. It prints nothing."""
    module = types.ModuleType(NAME)
    sys.modules[NAME] = module  # dataclasses look there
    try:
        exec(compile(text, NAME, "exec"), vars(module))
        keep_on = types.SimpleNamespace(disable=bool)  # the garbage collector of this process
        vars(module).update(constants, gc=keep_on, print=lambda *_: None)
        yield vars(module)
    finally:
        del sys.modules[NAME]


def methods_called(text: str, corpus: Corpus) -> set[tuple[str, str]]:
    """Execute a step on two short documents, and a sample. Return class and name of each method called.

    Parts cannot branch on numbers or lengths (docs/backends.md), so that other steps call the same methods.
    """
    data = {"DOCUMENTS": list(corpus.train[:2]), "VOCABULARY": corpus.tokenizer.state_dict()}
    with loaded(text, STEPS=1, SAMPLES=1, GRAD_CLIP=0.0, **data) as space:
        called = {("Value", "backward")}  # which Tensor.backward explains
        for owner in TRACED:
            for name, member in list(vars(space[owner]).items()) if owner in space else ():
                note = functools.partial(called.add, (owner, name))
                if isinstance(member, property):
                    setattr(space[owner], name, property(noted(member.fget, note)))
                elif isinstance(member, types.FunctionType):
                    setattr(space[owner], name, noted(member, note))
        space |= {name: min(2, space[name]) for name in ("BATCH_SIZE", "BLOCK_SIZE", "LAYERS")}
        space["main"]()
    return called


def noted(method: Any, note: Callable[[], Any]) -> Any:
    """Return the method, which also notes that it is called."""

    @functools.wraps(method)
    def noting(*args: Any, **options: Any) -> Any:
        note()
        return method(*args, **options)

    return noting


def check_losses(text: str, trainer: Trainer) -> None:
    """Raise UserError unless a file has the losses of its run, in two steps on a document each."""
    losses: list[float] = []
    with loaded(text, STEPS=2, SAMPLES=0, BATCH_SIZE=1) as space:
        space["print"] = lambda line: losses.append(float(line.split()[-1]))
        space["main"]()
    trainer.steps, trainer.batch_size, trainer.accumulate = 2, 1, 1
    for of_file, metrics in zip(losses, trainer.advance(2), strict=True):
        if not abs(of_file - metrics["loss/train"]) < 1e-9:
            raise UserError(
                f"the file would have a loss of {of_file} where the run has {metrics['loss/train']}: "
                "a part of the run does what export --python does not expect"
            )
