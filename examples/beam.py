import math
from heapq import nlargest
from operator import itemgetter

from microgpt_lab import between, hookimpl


class Beam:
    """Beam search: keep the likeliest texts of each length, and return the likeliest that has ended.

    width: number of texts that are kept.
    """

    def __init__(self, *, width: int = 3):
        between(1, 1000, width=width)
        self.width = width

    def __call__(self, text, rng):
        beam = [(0.0, text, None)]  # log-probability, text, next token
        while not all(text.ended for _, text, _ in beam):
            grown = [each for each in beam if each[1].ended]
            for log_p, text, _ in beam:
                if not text.ended:
                    log_total = math.log(math.fsum(map(math.exp, text.logits)))
                    grown += [(log_p + x - log_total, text, token) for token, x in enumerate(text.logits)]
            best = nlargest(self.width, grown, key=itemgetter(0))
            beam = [(p, text if text.ended else text.then(token), None) for p, text, token in best]
        return beam[0][1].tokens


@hookimpl
def samplers():
    return [Beam]
