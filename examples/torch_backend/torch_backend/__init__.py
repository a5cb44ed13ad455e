import os
from typing import Literal

from microgpt_lab import Backend, hookimpl
from microgpt_lab.backends import Block, mask_scales, padded


class TorchBackend(Backend):
    """PyTorch's tensors and derivatives, on a CPU or a GPU (Paszke et al., 2019).

    precision: type of all numbers; in float64, losses follow those of the python backend to 1e-9.
    device: auto is cuda where there is one, else mps (in float32, which is all that it has), else cpu.
    """

    name = "torch"
    fused, forks = 20, False  # CUDA does not work in a forked process

    def __init__(
        self,
        *,
        precision: Literal["float64", "float32"] = "float64",
        device: Literal["cpu", "cuda", "mps", "auto"] = "cpu",
    ):
        import torch  # only now: it takes a second, and the lab imports this module for each command

        from .tensor import Tensor

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))  # on which the rounding depends
        self.precision, self.device = precision, chosen(device, precision)
        self.torch, self.Tensor, self.dtype = torch, Tensor, getattr(torch, precision)

    def tensor(self, rows):
        return self.Tensor(self.torch.tensor(rows, dtype=self.dtype, device=self.device))

    def value_and_grad(self, loss, weights):
        leaves = {name: w.data.detach().requires_grad_() for name, w in weights.items()}
        row = loss({name: self.Tensor(leaf) for name, leaf in leaves.items()}).data
        if row.requires_grad:
            grads = self.torch.autograd.grad(row[0, 0], list(leaves.values()), materialize_grads=True)
        else:
            grads = map(self.torch.zeros_like, leaves.values())
        return self.Tensor(row.detach()), dict(zip(leaves, map(self.Tensor, grads)))

    def blocks(self, batch):
        """Pad the documents of a batch to the length of the longest, (B, T, C). Each part is a block."""
        ids, targets, loss_weight, masks = padded([batch], self.precision)
        arrays = [ids, targets, loss_weight, *masks]
        ids, targets, loss_weight, *masks = (self.torch.as_tensor(x[0], device=self.device) for x in arrays)
        masks = [mask.to(self.dtype) * scale for mask, scale in zip(masks, mask_scales(batch))]
        size = -(-len(batch.pairs) // batch.parts)
        blocks = []
        for part in (slice(i, i + size) for i in range(0, len(batch.pairs), size)):
            weight, *of_part = (self.Tensor(x[part]) for x in (loss_weight, *masks))
            blocks.append(Block(ids[part], targets[part], weight, of_part))
        return blocks

    def device_memory(self):
        return self.torch.cuda.mem_get_info()[1] if self.device == "cuda" else 0


def chosen(device, precision):
    """Return the device that computes. ValueError if this machine does not have it."""
    import torch

    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if has_cuda else "mps" if has_mps and precision == "float32" else "cpu"
    if device == "cuda" and not has_cuda:
        raise ValueError("PyTorch finds no CUDA device here: choose device=cpu or auto")
    if device == "mps" and precision == "float64":
        raise ValueError("mps has no float64: choose precision=float32")
    if device == "mps" and not has_mps:
        raise ValueError("PyTorch finds no MPS device here: choose device=cpu or auto")
    return device


MICROGPT_LAB_HOOKS = 6  # of microgpt_lab's versions


@hookimpl
def backends():
    return [TorchBackend]
