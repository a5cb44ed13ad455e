"""Each part by itself, on two numbers, before a run: who does not do its work is named."""

from __future__ import annotations

from typing import Any

from microgpt_lab.core.backend import Backend
from microgpt_lab.errors import OutOfRange, UserError
from microgpt_lab.registry.plugins import registry


def probe(config: dict[str, Any], parts: dict[str, Any]) -> None:
    """UserError for the first part that raises, or returns what its kind does not."""
    backend = parts["backend"]
    if not isinstance(backend, Backend):
        raise UserError(f"{label('backend', config)} is no subclass of microgpt_lab.Backend")
    for kind, trial in (("activation", activation), ("norm", norm), ("optimizer", optimizer)):
        try:
            trial(parts[kind], backend.tensor([[0.5, -0.25], [0.125, 1.0]]), backend)
        except OutOfRange as error:
            raise UserError(f"{label(kind, config)}: {error}") from None
        except Exception as error:
            what = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise UserError(
                f"{label(kind, config)} cannot run on backend={config['backend']['name']}: {what}"
            ) from None


def label(kind: str, config: dict[str, Any]) -> str:
    """The part, and who provides it if that is not us."""
    part = registry().get(kind, config[kind]["name"])
    return f"{kind}={part.name}" if part.first_party else f"{kind}={part.name} (of {part.provider})"


def activation(f: Any, x: Any, backend: Backend) -> None:
    alike(f(x), x)


def norm(f: Any, x: Any, backend: Backend) -> None:
    learned = f.init(x.shape[-1]) if hasattr(f, "init") else {}
    alike(f(x, **{name: backend.tensor(rows) for name, rows in learned.items()}), x)


def optimizer(f: Any, w: Any, backend: Backend) -> None:
    new, _ = f.update(w * 0.5, f.init(w), w, f.lr, 0)
    alike(new, w)


def alike(y: Any, x: Any) -> None:
    if type(y) is not type(x):
        raise TypeError(f"it returned {type(y).__name__}, not a tensor")
    if tuple(y.shape) != tuple(x.shape):
        raise ValueError(f"of a tensor of shape {tuple(x.shape)} it made one of {tuple(y.shape)}")
