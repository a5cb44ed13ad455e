"""Try parts on small tensors before a run: an error names the part."""

from __future__ import annotations

import contextlib
import traceback
import types
from collections.abc import Iterator
from typing import Any

from microgpt_lab.core.backend import Backend
from microgpt_lab.core.interface import ROLES
from microgpt_lab.core.packing import told
from microgpt_lab.core.see import looking
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import OutOfRange, UserError
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry

RESULTS = {"embed": "position", "attention": "attention", "mlp": "mlp", "end": "block"}  # by name in `see`


def probe(config: dict[str, Any], parts: dict[str, Any]) -> None:
    """Raise UserError if the activation, norm or optimizer fails or returns a wrong type or shape."""
    backend = parts["backend"]
    if not isinstance(backend, Backend):
        raise UserError(f"{label('backend', config)} is not a subclass of microgpt_lab.Backend")
    for kind, try_part in (("activation", try_activation), ("norm", try_norm), ("optimizer", try_optimizer)):
        with naming(config, {kind: parts[kind]}):
            try_part(parts[kind], backend.tensor([[0.5, -0.25], [0.125, 1.0]]), backend)


def probe_model(config: dict[str, Any], parts: dict[str, Any], trainer: Trainer) -> None:
    """Raise UserError if a part of the model fails for two tokens, or returns a wrong type or shape.

    The lab's own parts are not tried.
    """
    if all(chosen(kind, config).first_party for kind in MODEL_KINDS):
        return
    model, backend = trainer.model, trainer.backend
    ids = [0] * min(2, model.block_size)

    def loss(w: dict[str, Any]) -> Any:
        width = model.heads * model.head_dim
        q = backend.tensor([[0.5] * width for _ in ids]).split_heads(model.heads)
        at = model.at(w, ids, q, None, (), None)
        scores = (q @ q.T).causal()
        check_same_shape(at.rotate(q), q, backend, model.position)
        check_same_shape(at.bias(scores), scores, backend, model.position)
        check_same_shape(model.weighting(scores), scores, backend, model.weighting)
        x = w["wte"].take(ids)

        def look(name: str, y: Any) -> Any:
            if kind := RESULTS.get(name.rpartition(".")[2]):
                check_same_shape(y, x, backend, parts[kind])
            return y

        with looking(look):
            losses, *_ = model.objective(w, ids, ids)
        check_same_shape(losses, x[:1], backend, model.loss)
        return losses.total()

    with naming(config, parts):
        backend.value_and_grad(loss, trainer.weights)


@contextlib.contextmanager
def naming(
    config: dict[str, Any],
    parts: dict[str, Any],
    refusal: type[ValueError] = OutOfRange,
    failed: str = "cannot run on backend={backend}",
) -> Iterator[None]:
    """Turn an error of one of these parts into a UserError that names it.

    refusal: the type of error by which a part refuses a configuration. Its message is for the user.
    failed: what the message says of a part that raises another error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not (kind := culprit(error, config, parts)):
            raise
        if isinstance(error, refusal):
            raise UserError(chosen(kind, config).refusal(error)) from None
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(
            f"{label(kind, config)} {failed.format(backend=config['backend']['name'])}: {what}"
        ) from None


def culprit(error: Exception, config: dict[str, Any], parts: dict[str, Any]) -> str | None:
    """Return the kind of the part in whose call an error was raised; the innermost call, if several were.

    The lab's own parts are named only if no part of another author was called: they may be called wrongly.
    """
    kinds = []
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for kind, part in parts.items():
            if is_call_of(frame, part):
                kinds.append(kind)
    if isinstance(error, TypeError):  # a call with wrong arguments has no frame, but its message has a name
        names = {kind: chosen(kind, config).make.__qualname__ for kind in parts}
        kinds[:0] = [k for k, name in names.items() if str(error).startswith((f"{name}(", f"{name}."))]
    foreign = (kind for kind in kinds if not chosen(kind, config).first_party)
    return next(foreign, kinds[0] if kinds else None)


def is_call_of(frame: types.FrameType, part: Any) -> bool:
    """Return whether a frame is a call of a part, of a method of it, or of what the lab does for it."""
    first = frame.f_code.co_varnames[: frame.f_code.co_argcount][:1]
    about = [frame.f_locals.get(name) for name in (*first, "part")]
    return frame.f_code is getattr(getattr(part, "func", part), "__code__", None) or any(
        value is part for value in about
    )


def chosen(kind: str, config: dict[str, Any]) -> Part:
    """Return the part of this kind that a configuration names."""
    return registry().get(kind, config[kind]["name"])


def label(kind: str, config: dict[str, Any]) -> str:
    """Return kind=name, with the plugin if the part does not come with the lab."""
    part = chosen(kind, config)
    return f"{kind}={part.name}" if part.first_party else f"{kind}={part.name} (from {part.provider})"


def try_activation(f: Any, x: Any, backend: Backend) -> None:
    check_same_shape(f(x), x, backend)


def try_norm(f: Any, x: Any, backend: Backend) -> None:
    learnable = f.init(x.shape[-1]) if hasattr(f, "init") else {}
    check_same_shape(f(x, **{name: backend.tensor(rows) for name, rows in learnable.items()}), x, backend)


def try_optimizer(f: Any, w: Any, backend: Backend) -> None:
    for role in ROLES:
        new, _ = f.update(w * 0.5, f.init(w, **told(f.init, role)), w, f.lr, 0, **told(f.update, role))
        check_same_shape(new, w, backend)


def check_same_shape(y: Any, x: Any, backend: Backend, part: Any = None) -> None:
    """Raise TypeError or ValueError if y is no tensor of the shape of x. `part` returned it."""
    if not isinstance(y, type(backend.tensor([[0.0]]))):
        raise TypeError(f"it returned {type(y).__name__}, not a tensor")
    if tuple(y.shape) != tuple(x.shape):
        raise ValueError(f"it changed the shape from {tuple(x.shape)} to {tuple(y.shape)}")
