from microgpt_lab import hookimpl


def post_norm(x, attention, mlp, norm1, norm2):
    """norm(x + attention(x)), then norm(x + mlp(x)), as in the first transformer (Vaswani et al., 2017)."""
    x = norm1(x + attention(x))
    return norm2(x + mlp(x))


@hookimpl
def blocks():
    return [post_norm]
