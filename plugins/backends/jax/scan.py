"""Many steps in one compiled call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from microgpt_lab.core.backend import Batch, Block
from microgpt_lab.tensors.padding import Padded, longest, mask_scales, padded

from .array import Array
from .cache import compile_cached

INPUTS = 32_000_000  # bytes of the batches of a call: large ones are fewer


class Scan:
    """A compiled loop over at most `fused` batches of one height and length, as in `Backend.scan`.

    A batch is sharded across devices by document; the carry is replicated. Results do not depend on the
    batches of earlier calls.
    """

    def __init__(self, f: Callable, dtype: str, fused: int):
        self.f, self.dtype, self.fused = f, dtype, fused
        devices = Mesh(np.array(jax.devices()), ("documents",))
        self.devices = devices.size
        self.sharded = NamedSharding(devices, PartitionSpec(None, "documents"))
        self.sharded_parts = NamedSharding(devices, PartitionSpec(None, None, "documents"))
        self.replicated = NamedSharding(devices, PartitionSpec())
        self.jitted = jax.jit(self.loop, static_argnums=0)
        self.programs: dict[Any, Callable] = {}

    def __call__(self, carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
        results: list[list[float]] = []
        with jax.enable_x64(self.dtype == "float64"):
            carry = jax.device_put(carry, self.replicated)
            fused = self.fused_steps(inputs[0][0]) if inputs else 1
            for start in range(0, len(inputs), fused):
                chunk = inputs[start : start + fused]
                carry, values = self.run(carry, *self.stack(chunk, fused), np.int32(len(chunk)))
                results += np.asarray(values)[: len(chunk)].tolist()
            return jax.tree.map(np.asarray, carry), results

    def fused_steps(self, batch: Batch) -> int:
        """Return the number of batches that are stacked, which is the same for all batches of a run."""
        length = batch.block_size
        masks = sum(x.sites * length * (x.width or x.heads * length) for x in batch.dropouts)  # bytes
        size = batch.height * (24 * length + masks)
        return max(1, min(self.fused, INPUTS // size))

    def run(self, *arguments: Any) -> tuple[Any, Any]:
        """Run the loop, compiled for the shapes of its arguments."""
        leaves, tree = jax.tree.flatten(arguments)
        shapes = tree, *((x.shape, x.dtype) for x in leaves)
        if shapes not in self.programs:
            length = arguments[1].ids.shape[-1]
            lengths = tuple(sorted({-(-length * 3 // 4), length}))  # few batches need the whole length
            self.programs[shapes] = compile_cached(self.jitted.lower(lengths, *arguments))
        return self.programs[shapes](*arguments)

    def stack(self, inputs: list, fused: int) -> tuple[Padded, Any, Any, Any]:
        """Stack the batches and numbers of a call, padded to `fused` of each.

        Returns the batches, (fused, documents, T), or (fused, parts, documents, T) of several parts, the
        factors of dropout masks, the numbers, (fused, count), and the length that each batch needs, (fused,).
        """
        batches = [batch for batch, *_ in inputs]
        height, parts = max(batch.height for batch in batches), batches[0].parts
        stacked = padded(
            batches,
            self.dtype,
            height=height + -height % (self.devices * parts),
            length=max(batch.block_size for batch in batches),
        )
        numbers = np.array([numbers for _, *numbers in inputs], self.dtype)
        needed = np.array([longest(batch) for batch in batches], np.int32)
        missing = fused - len(inputs)

        def fill(values: np.ndarray) -> np.ndarray:
            return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])

        def put(values: np.ndarray) -> Any:
            values = fill(values)
            if parts == 1:
                return jax.device_put(values, self.sharded)
            values = values.reshape(len(values), parts, -1, *values.shape[2:])
            return jax.device_put(values, self.sharded_parts)

        stacked = jax.tree.map(put, stacked)
        return stacked, np.array(mask_scales(inputs[0][0]), self.dtype), fill(numbers), fill(needed)

    def loop(
        self, lengths: tuple, carry: Any, batches: Padded, scales: Any, numbers: Any, needed: Any, count: Any
    ) -> tuple[Any, Any]:
        """Apply `f` to `count` batches, each at the smallest of `lengths` that fits. See `Backend.scan`."""

        def apply(length, i, carry):
            ids, targets = (x[i, ..., :length] for x in batches[:2])
            loss_weight = batches.loss_weight[i, ..., :length, :]
            of_tokens = loss_weight.ndim
            masks = [
                Array(cut(mask[i], length, of_tokens) * scale) for mask, scale in zip(batches.masks, scales)
            ]
            block = Block(ids, targets, Array(loss_weight), masks)
            carry, results = self.f(carry, [block], *(Array(x[None, None]) for x in numbers[i]))
            return carry, jnp.array([result.data[0, 0] for result in results])

        def body(i, state):
            carry, results = state
            branch = jnp.searchsorted(jnp.array(lengths), needed[i])
            carry, values = jax.lax.switch(branch, [partial(apply, length) for length in lengths], i, carry)
            return carry, results.at[i].set(values)

        values = jax.eval_shape(partial(apply, lengths[0]), 0, carry)[1]
        return jax.lax.fori_loop(
            0, count, body, (carry, jnp.zeros((len(numbers), *values.shape), values.dtype))
        )


def cut(mask: Any, length: int, of_tokens: int) -> Any:
    """Cut a dropout mask, (…, T, C) with `of_tokens` axes, or (…, heads, T, T), to a length."""
    return mask[..., :length, :] if mask.ndim == of_tokens else mask[..., :length, :length]
