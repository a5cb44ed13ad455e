"""Names for authors of backends: batches of documents, their padding, estimates of memory, and reprs.

They are defined in `microgpt_lab.core.backend`, `microgpt_lab.core.reprs` and `microgpt_lab.tensors.padding`.
"""

from microgpt_lab.core.backend import Batch, Block, Memory
from microgpt_lab.core.reprs import preview
from microgpt_lab.tensors.padding import Padded, mask_scales, padded

__all__ = ["Batch", "Block", "Memory", "Padded", "mask_scales", "padded", "preview"]
