"""Try parts on small tensors before a run: an error names the part."""

from __future__ import annotations

import contextlib
import inspect
import re
import traceback
import types
from collections.abc import Iterator
from typing import Any

from microgpt_lab.core.backend import Backend
from microgpt_lab.core.interface import ROLES, Position
from microgpt_lab.core.model import GPT
from microgpt_lab.core.packing import role_argument
from microgpt_lab.core.see import looking, unseen
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import OutOfRange, UserError
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors.shapes import TooFewRows, on_shapes

# Kinds of parts by the name of what they return, in `see`, without the layer.
RESULTS = {"embed": "position", "attention": "attention", "mlp": "mlp", "end": "block"}


ADVICE = "weights and tables are what weights(gpt) and tables(gpt) of its class return"


def probe(config: dict[str, Any], parts: dict[str, Any]) -> None:
    """Raise UserError if the activation, norm or optimizer fails or returns a wrong type or shape."""
    backend = parts["backend"]
    if not isinstance(backend, Backend):
        raise chosen("backend", config).failure(" is not a subclass of microgpt_lab.Backend")
    check_position(config, parts)
    for kind, try_part in (("activation", try_activation), ("norm", try_norm), ("optimizer", try_optimizer)):
        with naming(config, {kind: parts[kind]}):
            try_part(parts[kind], backend.tensor([[0.5, -0.25], [0.125, 1.0]]), backend)


def check_position(config: dict[str, Any], parts: dict[str, Any]) -> None:
    """Raise UserError if the position is not a Position."""
    if not isinstance(parts["position"], Position):
        raise chosen("position", config).failure(" is not a subclass of microgpt_lab.Position")


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
            if kind := RESULTS.get(re.sub(r"^layer\d+\.", "", name)):
                check_same_shape(y, x, backend, parts[kind])
            return y

        with looking(look):
            losses, *_ = model.objective(w, ids, ids)
        check_losses(losses, x[:1], backend, model.loss)
        return losses.total()

    for kind, message in uncallable(model):
        raise chosen(kind, config).failure(f": {message}")
    with naming(config, parts):
        try:
            unseen(on_shapes)(model, model.block_size)
        except TooFewRows:
            raise
        except Exception:  # a part may need numbers, which shapes do not have
            pass
        backend.value_and_grad(loss, trainer.weights)


def uncallable(model: GPT) -> Iterator[tuple[str, str]]:
    """Yield the kind of each part that cannot be called with what it declares, and why."""
    position, places = model.position, ("x", "places")
    calls = {
        "position": [(f, places) for f in (position.embed, position.rotate, position.bias)],
        "attention": [(model.attention, ("x", "at"))],
        "mlp": [(model.mlp, ("x", "at"))],
        "block": [(model.block, ("x", "attention", "mlp", *model.norms))],
    }
    for kind, functions in calls.items():
        path = kind if kind == "position" else f"layer0.{kind}"
        names = [own for own, *_ in model.names.get(path, ())] + list(model.tables.get(kind, {}))
        for f, arguments in functions:
            try:
                inspect.signature(f).bind(*arguments, **dict.fromkeys(names))
            except TypeError as error:
                called = f"it is called with {', '.join([*arguments, *names])}: {error}"
                yield kind, f"{called} ({'names of norms begin with norm' if kind == 'block' else ADVICE})"


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
    except (UserError, MemoryError):  # too little memory is no part's fault
        raise
    except Exception as error:
        if not (kind := culprit(error, config, parts)):
            raise
        if isinstance(error, refusal):
            raise UserError(chosen(kind, config).refusal(error)) from None
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        backend = config["backend"]["name"]
        raise chosen(kind, config).failure(f" {failed.format(backend=backend)}: {what}") from None


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


def try_activation(f: Any, x: Any, backend: Backend) -> None:
    check_same_shape(f(x), x, backend)


def try_norm(f: Any, x: Any, backend: Backend) -> None:
    learnable = f.init(x.shape[-1]) if hasattr(f, "init") else {}
    check_same_shape(f(x, **{name: backend.tensor(rows) for name, rows in learnable.items()}), x, backend)


def try_optimizer(f: Any, w: Any, backend: Backend) -> None:
    for role in ROLES:
        new, _ = f.update(
            w * 0.5, f.init(w, **role_argument(f.init, role)), w, f.lr, 0, **role_argument(f.update, role)
        )
        check_same_shape(new, w, backend)


def check_same_shape(y: Any, x: Any, backend: Backend, part: Any = None) -> None:
    """Raise TypeError or ValueError if y is no tensor of the shape of x. `part` returned it."""
    if not isinstance(y, type(backend.tensor([[0.0]]))):
        raise TypeError(f"it returned {type(y).__name__}, not a tensor")
    if tuple(y.shape) != tuple(x.shape):
        raise ValueError(f"it changed the shape from {tuple(x.shape)} to {tuple(y.shape)}")


def check_losses(y: Any, x: Any, backend: Backend, part: Any) -> None:
    """Raise TypeError or ValueError if y is no tensor of the shape of x, (T, 1). The loss returned it."""
    if isinstance(y, type(x)) and tuple(y.shape) != tuple(x.shape):
        raise ValueError(f"it returned shape {tuple(y.shape)}, not (…, T, 1): return one loss for each token")
    check_same_shape(y, x, backend, part)
