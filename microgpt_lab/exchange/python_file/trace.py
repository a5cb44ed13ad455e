"""Find out which methods of tensors and Values a run calls."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from microgpt_lab.core.data import Corpus
from microgpt_lab.exchange.python_file.live import TRACED

NAME = "microgpt_lab_exported"


def methods_called(text: str, corpus: Corpus) -> set[tuple[str, str]]:
    """Execute a step on two short documents, and a sample. Return class and name of each method called.

    Parts cannot branch on numbers or lengths (docs/backends.md), so that other steps call the same methods.
    """
    module = types.ModuleType(NAME)
    sys.modules[NAME] = module
    try:
        exec(compile(text, NAME, "exec"), vars(module))
        space, called = vars(module), {("Value", "backward")}  # which Tensor.backward explains
        for owner in TRACED:
            for name, member in list(vars(space[owner]).items()) if owner in space else ():
                note = functools.partial(called.add, (owner, name))
                if isinstance(member, property):
                    setattr(space[owner], name, property(noted(member.fget, note)))
                elif isinstance(member, types.FunctionType):
                    setattr(space[owner], name, noted(member, note))
        space |= {"STEPS": 1, "SAMPLES": 1, "BATCH_SIZE": min(2, space["BATCH_SIZE"])}
        space |= {"BLOCK_SIZE": min(2, space["BLOCK_SIZE"]), "LAYERS": min(2, space["LAYERS"])}
        space |= {"GRAD_CLIP": 0.0} if "GRAD_CLIP" in space else {}
        space |= {"DOCUMENTS": list(corpus.train[:2]), "VOCABULARY": corpus.tokenizer.state_dict()}
        space |= {"print": lambda *_: None, "gc": types.SimpleNamespace(disable=bool)}
        module.main()
        return called
    finally:
        del sys.modules[NAME]


def noted(method: Any, note: Callable[[], Any]) -> Any:
    """Return the method, which also notes that it is called."""

    @functools.wraps(method)
    def noting(*args: Any, **options: Any) -> Any:
        note()
        return method(*args, **options)

    return noting
