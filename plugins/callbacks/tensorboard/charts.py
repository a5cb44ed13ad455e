"""Show what other callbacks measure or draw: charts of Custom Scalars, and images."""

import math
import re
import struct

GROUP = "stats"  # the first word of their tags, which puts them after those of losses, rates and speed
# By chart, what its tags begin with. The weights have no chart: their sizes hardly change.
CHARTS = {"gradients": "gradients/", "updates": "updates/", "activations": "activations/"}
ABOUT = {
    "weights": "Root mean square of a weight matrix.",
    "gradients": "Root mean square of the gradient of a weight matrix, before clipping.",
    "updates": "log10 of (root mean square of a step of the optimizer / that of the weights).",
    "activations/rms": "Root mean square of the residual stream, on some held-out documents.",
    "activations/dead": "Share of hidden units that are 0 for every token of some held-out documents.",
    "activations/saturated": "Share of hidden numbers where the activation is flat (slope below 0.06).",
    "activations/entropy": "Mean entropy of a head's attention weights, in nats. 0: it looks at one token.",
}


def tagged(numbers):
    """The finite numbers by tag. Characters that TensorBoard has no use for in a tag become _."""
    tags = {name: re.sub(r"[^-/\w.]", "_", f"{GROUP}/{name}") for name in numbers}
    return {tags[name]: number for name, number in numbers.items() if math.isfinite(number)}


def about(tag):
    """The description of a tag; empty if it is of another callback."""
    return next((text for name, text in ABOUT.items() if tag.startswith(f"{GROUP}/{name}/")), "")


def layout():
    """The charts of Custom Scalars, of which each shows all tags that its regular expression matches."""
    from tensorboardX.summary import custom_scalars

    charts = {name: ["Multiline", [rf"^{GROUP}/{start}"]] for name, start in CHARTS.items()}
    return custom_scalars({"inside the model": charts}).SerializeToString()


def image(tag, png):
    """An image, whose size is in the header of its PNG file."""
    from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

    width, height = struct.unpack(">II", png[16:24])
    content = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=content)]).SerializeToString()
