"""The keys that give a model the cost of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Choose a width of the model so that two settings cost the same.

    match: choose match_free so that the model has as many parameters, or training takes as many FLOPs per
        token, as that of match_reference, to 1 %.
    match_free: the key that is chosen, such as mlp.ratio or embed.
    match_reference: a number of parameters or FLOPs, or keys that replace those of this model, as in
        'mlp=mlp layers=2' (empty: microGPT with the same layers, heads, embed and block_size).
    """

    match: Literal["none", "parameters", "flops"] = "none"
    match_free: str = "mlp.ratio"
    match_reference: str = ""
