from microgpt_lab import hookimpl


def sandwich_norm(x, attention, mlp, norm1, norm2, norm3, norm4):
    """x + norm(attention(norm(x))), then x + norm(mlp(norm(x))) (Ding et al., 2021), as in Gemma 2."""
    x = x + norm2(attention(norm1(x)))
    return x + norm4(mlp(norm3(x)))


@hookimpl
def blocks():
    return [sandwich_norm]
