"""Compute a replay's logits again with some of its tensors changed, all changes at once, on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgpt_lab.core.see import looking
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.registry.plugins import part

Change = dict[str, tuple[Any, Any]]  # name of a tensor: what multiplies it, and what is then added


def logits(replay: Replay, changes: Sequence[Change]) -> np.ndarray:
    """Return the logits (changes, T, vocab_size) with each of the changes.

    A change replaces tensors x, (T, C) each, by x · scale + shift; both broadcast to (T, C).
    """
    backend = part("backend", "numpy")
    ids: Any = np.array([replay.ids] * len(changes))
    names = {name for change in changes for name in change}

    def change(name: str, x: Any) -> Any:
        if name not in names:
            return x
        pairs = [each.get(name, (1.0, 0.0)) for each in changes]
        scale, shift = (
            type(x)(np.stack([np.broadcast_to(np.asarray(pair[i]), x.shape[1:]) for pair in pairs]))
            for i in (0, 1)
        )
        return x * scale + shift

    weights = {name: backend.tensor(w.tolist()) for name, w in replay.weights.items()}
    with looking(change), np.errstate(all="ignore"):
        return replay.model.logits(weights, ids).data


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log softmax over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
