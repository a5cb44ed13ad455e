from microgpt_lab import hookimpl


def nanochat(shape, gpt, rng):
    """Gaussian by width, but 0 for residual projections and the output matrix: nanochat (Karpathy, 2025).

    Standard deviation: min(1, √(out / in)) / √in, and 1 for embeddings.
    """
    if shape.role in ("residual", "head"):
        return [[0.0] * shape.in_ for _ in range(shape.out)]
    std = 1.0 if shape.role == "embedding" else min(1.0, (shape.out / shape.in_) ** 0.5) / shape.in_**0.5
    return [[rng.gauss(0, std) for _ in range(shape.in_)] for _ in range(shape.out)]


@hookimpl
def inits():
    return [nanochat]
