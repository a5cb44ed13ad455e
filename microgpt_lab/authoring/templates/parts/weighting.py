from microgpt_lab import hookimpl
from microgpt_lab.ops import exp, logsumexp, softplus


# The formula, of scores, which are -inf where a token is not visible: the result must
# be 0 there. It may use all of microgpt_lab.ops.
# Parameters after * are options: (scores, *, beta: float = 1.0) makes weighting.beta.
def my_part(scores):
    """exp(s) / (1 + Σ exp(s)), which may attend to nothing (Miller, 2023).

    scores: (…, heads, T, S).
    """
    return exp(scores - softplus(logsumexp(scores)))


@hookimpl
def weightings():
    return [my_part]
