from microgpt_lab import hookimpl
from microgpt_lab.ops import relu, visible


def relu2(scores):
    """max(s, 0)² / n, where n is the number of visible tokens (Wortsman et al., 2023, with relu²).

    scores: (…, heads, T, S), -inf where a token is not visible.
    """
    return relu(scores) ** 2 / visible(scores)


@hookimpl
def weightings():
    return [relu2]
