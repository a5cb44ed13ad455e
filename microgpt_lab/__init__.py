"""Train small GPTs from scratch, swap one piece at a time, and measure whether the change helps.

hookimpl: the decorator of a function that implements a hook.
ops: functions of tensors, for parts.
"""

from typing import TYPE_CHECKING, Any

from microgpt_lab import ops
from microgpt_lab.core.autograd import Value
from microgpt_lab.core.backend import Backend
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.documents import Split, Stream
from microgpt_lab.core.heads import Heads
from microgpt_lab.core.interface import At, Linear, Position, Shape
from microgpt_lab.core.model import GPT
from microgpt_lab.core.sampler import Continuation
from microgpt_lab.core.see import looking, see, seen
from microgpt_lab.core.tokenizer import Tokenizer
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError, above, at_least, between, printable
from microgpt_lab.registry.hookspecs import hookimpl
from microgpt_lab.registry.plugins import part
from microgpt_lab.sweeps.table import load_sweep
from microgpt_lab.tensors.tensor import Tensor

if TYPE_CHECKING:
    from microgpt_lab.api.run import load_run
    from microgpt_lab.api.sweep import sweep
    from microgpt_lab.api.train import train

__version__ = "0.2.0"
__all__ = [
    "GPT",
    "At",
    "Backend",
    "Continuation",
    "Corpus",
    "Heads",
    "Linear",
    "Position",
    "Shape",
    "Split",
    "Stream",
    "Tensor",
    "Tokenizer",
    "Trainer",
    "UserError",
    "Value",
    "above",
    "at_least",
    "between",
    "hookimpl",
    "load_run",
    "load_sweep",
    "looking",
    "ops",
    "part",
    "printable",
    "see",
    "seen",
    "sweep",
    "train",
]
# Imported when they are used, because they need Hydra and rich, which take as long as everything else.
LAZY = {"load_run": "run", "sweep": "sweep", "train": "train"}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'microgpt_lab' has no attribute '{name}'")
    from importlib import import_module

    globals()[name] = found = getattr(import_module(f"microgpt_lab.api.{LAZY[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
