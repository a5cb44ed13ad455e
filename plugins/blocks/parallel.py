from microgpt_lab import hookimpl


def parallel(x, attention, mlp, norm1):
    """x + attention(norm(x)) + mlp(norm(x)), as in GPT-J and PaLM (Chowdhery et al., 2022)."""
    normed = norm1(x)
    return x + attention(normed) + mlp(normed)


@hookimpl
def blocks():
    return [parallel]
