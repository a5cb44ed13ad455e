"""Try activation, norm and optimizer on a small tensor before a run: an error names the part."""

from __future__ import annotations

from typing import Any

from microgpt_lab.core.backend import Backend
from microgpt_lab.core.interface import ROLES
from microgpt_lab.core.packing import told
from microgpt_lab.errors import OutOfRange, UserError
from microgpt_lab.registry.plugins import registry


def probe(config: dict[str, Any], parts: dict[str, Any]) -> None:
    """Raise UserError if the activation, norm or optimizer fails or returns a wrong type or shape."""
    backend = parts["backend"]
    if not isinstance(backend, Backend):
        raise UserError(f"{label('backend', config)} is not a subclass of microgpt_lab.Backend")
    for kind, try_part in (("activation", try_activation), ("norm", try_norm), ("optimizer", try_optimizer)):
        try:
            try_part(parts[kind], backend.tensor([[0.5, -0.25], [0.125, 1.0]]), backend)
        except OutOfRange as error:
            raise UserError(f"{label(kind, config)}: {error}") from None
        except Exception as error:
            what = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise UserError(
                f"{label(kind, config)} cannot run on backend={config['backend']['name']}: {what}"
            ) from None


def label(kind: str, config: dict[str, Any]) -> str:
    """Return kind=name, with the plugin if the part does not come with the lab."""
    part = registry().get(kind, config[kind]["name"])
    return f"{kind}={part.name}" if part.first_party else f"{kind}={part.name} (from {part.provider})"


def try_activation(f: Any, x: Any, backend: Backend) -> None:
    check_same_shape(f(x), x)


def try_norm(f: Any, x: Any, backend: Backend) -> None:
    learnable = f.init(x.shape[-1]) if hasattr(f, "init") else {}
    check_same_shape(f(x, **{name: backend.tensor(rows) for name, rows in learnable.items()}), x)


def try_optimizer(f: Any, w: Any, backend: Backend) -> None:
    for role in ROLES:
        new, _ = f.update(w * 0.5, f.init(w, **told(f.init, role)), w, f.lr, 0, **told(f.update, role))
        check_same_shape(new, w)


def check_same_shape(y: Any, x: Any) -> None:
    if type(y) is not type(x):
        raise TypeError(f"it returned {type(y).__name__}, not a tensor")
    if tuple(y.shape) != tuple(x.shape):
        raise ValueError(f"it changed the shape from {tuple(x.shape)} to {tuple(y.shape)}")
