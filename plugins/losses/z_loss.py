from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import logsumexp


class ZLoss:
    """Cross-entropy + weight · logsumexp(z)², of logits z (Chowdhery et al., 2022).

    The penalty keeps the logits near log-probabilities. z: (…, T, vocab_size). Returns (…, T, 1).

    weight: weight of the penalty.
    """

    name = "z_loss"

    def __init__(self, *, weight: float = 1e-4):
        at_least(0, weight=weight)
        self.weight = weight

    def __call__(self, logits, targets):
        total = logsumexp(logits)
        return total - logits.pick(targets) + total**2 * self.weight


@hookimpl
def losses():
    return [ZLoss]
