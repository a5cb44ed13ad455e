from math import exp, fsum

from microgpt_lab import at_least, hookimpl


class MyPart:
    """Draw from the tokens with logits of at least max - n σ (Tang et al., 2024).

    Their probabilities are softmax(logits). σ is the standard deviation of all logits.

    n: how many standard deviations below the largest logit a token may be.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, sampler.n here, each with a type and a default.
    def __init__(self, *, n: float = 1.0):
        at_least(0, n=n)  # other values are refused in one line
        self.n = n

    # The new tokens of a text, drawn from rng alone. text.then(token) is another text,
    # so that it may try several tokens and go back.
    def __call__(self, text, rng):
        while not text.ended:
            p = self.probabilities(text.logits)
            text = text.then(rng.choices(range(len(p)), p)[0])
        return text.tokens

    # `check` compares draws with it. Remove it if tokens are not drawn one by one.
    def probabilities(self, logits):
        mean, largest = fsum(logits) / len(logits), max(logits)
        deviation = (fsum((x - mean) ** 2 for x in logits) / len(logits)) ** 0.5
        lowest = largest - self.n * deviation
        kept = [exp(x - largest) if x >= lowest else 0.0 for x in logits]
        total = fsum(kept)
        return [p / total for p in kept]


@hookimpl
def samplers():
    return [MyPart]
