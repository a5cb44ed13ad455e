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
        beam = [(0.0, text)]  # log-probabilities and texts
        while not all(kept.ended for _, kept in beam):
            candidates = []  # log-probability, text, next token
            for log_p, kept in beam:
                if kept.ended:
                    candidates.append((log_p, kept, None))
                    continue
                log_total = math.log(math.fsum(map(math.exp, kept.logits)))
                candidates += [(log_p + x - log_total, kept, token) for token, x in enumerate(kept.logits)]
            best = nlargest(self.width, candidates, key=itemgetter(0))
            beam = [(log_p, kept if kept.ended else kept.then(token)) for log_p, kept, token in best]
        return beam[0][1].tokens


@hookimpl
def samplers():
    return [Beam]
