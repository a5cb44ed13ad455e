from microgpt_lab import between, hookimpl
from microgpt_lab.ops import logsumexp, mean


class LabelSmoothing:
    """Cross-entropy with targets that give `amount` to all tokens in equal shares (Szegedy et al., 2015).

    logsumexp(z) - (1 - amount) z[target] - amount mean(z), of logits z (…, T, vocab_size): (…, T, 1).

    amount: probability that is spread over all tokens.
    """

    name = "label_smoothing"

    def __init__(self, *, amount: float = 0.1):
        between(0, 1, amount=amount)
        self.amount = amount

    def __call__(self, logits, targets):
        target = logits.pick(targets) * (1 - self.amount)
        return logsumexp(logits) - target - mean(logits) * self.amount


@hookimpl
def losses():
    return [LabelSmoothing]
