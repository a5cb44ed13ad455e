"""Weights as safetensors, a file format of Hugging Face that is data alone.

The package `safetensors` writes them (https://github.com/huggingface/safetensors), `run.safetensors` reads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from microgpt_lab.run.trained import Trained


def arrays(trained: Trained) -> dict[str, Any]:
    """Return the weights of a run as arrays of float64, by name."""
    return {name: np.array(w.tolist(), np.float64) for name, w in trained.weights.items()}


def write(trained: Trained, path: Path) -> str:
    """Write the weights of a run in float64, under their own names, with its configuration and tokenizer."""
    facts = {"config": trained.config, "tokenizer": trained.tokenizer.state_dict()}
    save_arrays(arrays(trained), path, {"microgpt_lab": json.dumps(facts)})
    return f"{len(trained.weights)} tensors"


def save_arrays(tensors: dict[str, Any], path: Path, metadata: dict[str, str]) -> None:
    """Write arrays as safetensors."""
    from safetensors.numpy import save  # an extra

    contiguous = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
    path.write_bytes(save(contiguous, {"format": "pt"} | metadata))  # transformers asks for the format
