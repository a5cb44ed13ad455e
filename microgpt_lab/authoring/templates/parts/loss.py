from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import cross_entropy, exp


# The loss of each token, (…, T, 1). It may use all of microgpt_lab.ops, and targets
# only in cross_entropy(logits, targets) and in logits.pick(targets), their logits.
# Parameters after * are options, loss.epsilon here, each with a type and a default.
def my_part(logits, targets, *, epsilon: float = 1.0):
    """Cross-entropy + epsilon (1 - p) (PolyLoss; Leng et al., 2022).

    p is the probability of the target. logits: (…, T, vocab_size).

    epsilon: weight of the second term.
    """
    at_least(0, epsilon=epsilon)  # other values are refused in one line
    entropy = cross_entropy(logits, targets)
    return entropy + (1.0 - exp(-entropy)) * epsilon


@hookimpl
def losses():
    return [my_part]
