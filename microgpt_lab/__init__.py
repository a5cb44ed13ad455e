"""A laboratory for GPTs at the smallest scale."""

from microgpt_lab import ops
from microgpt_lab.autograd import Value
from microgpt_lab.backend import Backend
from microgpt_lab.data import Corpus
from microgpt_lab.errors import UserError, above, at_least, between, printable
from microgpt_lab.hookspecs import hookimpl
from microgpt_lab.model import GPT
from microgpt_lab.plugins import part
from microgpt_lab.results import load_sweep
from microgpt_lab.tensor import Tensor
from microgpt_lab.trainer import Trainer

__version__ = "0.1.0"
__all__ = [
    "GPT",
    "Backend",
    "Corpus",
    "Tensor",
    "Trainer",
    "UserError",
    "Value",
    "above",
    "at_least",
    "between",
    "hookimpl",
    "load_sweep",
    "ops",
    "part",
    "printable",
]
