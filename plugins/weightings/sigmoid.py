from microgpt_lab import hookimpl, ops


def sigmoid(scores):
    """sigmoid(s - log n), where n is the number of visible tokens (Ramapuram et al., 2024).

    scores: (…, heads, T, S), -inf where a token is not visible.
    """
    return ops.sigmoid(scores - ops.log(ops.visible(scores)))


@hookimpl
def weightings():
    return [sigmoid]
