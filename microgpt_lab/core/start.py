"""Start a training from the weights of another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from microgpt_lab.core.divergence import in_range
from microgpt_lab.core.interface import Matrix
from microgpt_lab.core.trainer import Trainer


def start_from(
    trainer: Trainer,
    given: Mapping[str, tuple[int, int]],
    read: Callable[[], Mapping[str, Matrix]],
    *,
    init_from: str = "",
) -> None:
    """Replace the initial weights of a trainer. The optimizer's state starts anew.

    ValueError that names the first weight that is missing, that has another shape, or that the model lacks.
    The keyword is the top-level key `init_from`, as those of `Trainer` are keys: here, only messages need it.

    given: shapes of the other weights, by name.
    read: returns them. It is called once the shapes fit.
    init_from: folder of a run, or a safetensors file, whose weights and vocabulary a run starts with.
    """
    shapes = trainer.packing.shapes
    for name, shape in shapes.items():
        if name not in given:
            raise ValueError(f"init_from={init_from} has no {name}, which this model has")
        if given[name] != shape:
            raise ValueError(f"init_from={init_from}: {name} is {given[name]}, but in this model {shape}")
    if more := [name for name in given if name not in shapes]:
        raise ValueError(f"init_from={init_from} has {more[0]:.80}, which this model does not have")
    weights = read()
    tensors = {name: trainer.backend.tensor(weights[name]) for name in shapes}
    if not in_range(tensors):
        raise ValueError(f"init_from={init_from}: its weights are not finite, or beyond 1e77")
    packed = trainer.packing.pack(tensors)
    roles = trainer.packing.init_roles
    state = {name: trainer.optimizer.init(w, **roles[name]) for name, w in packed.items()}
    trainer.carry = packed, state
