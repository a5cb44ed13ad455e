"""Read the points that TensorBoard shows of a run."""

import pytest


def points(run):
    """Steps and values of all scalars and texts except the speed. Needs microgpt-lab[board]."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs microgpt-lab[board]"
    )
    sizes = {"scalars": 0, "histograms": 0, "tensors": 0}
    board = accumulator.EventAccumulator(str(run), size_guidance=sizes).Reload()
    scalars = {
        tag: [(e.step, e.value) for e in board.Scalars(tag)]
        for tag in board.Tags()["scalars"]
        if tag != "perf/tokens_per_s"
    }
    texts = {
        tag: [(e.step, list(e.tensor_proto.string_val)) for e in board.Tensors(tag)]
        for tag in board.Tags()["tensors"]
    }
    return scalars | texts
