"""Parts that read the number of tokens, or tokens."""

from broken_attentions import Stretches, tempered
from broken_mlps import Counts

from microgpt_lab.core.model import MLP, Learned
from microgpt_lab.ops import mean, softmax


class IteratesPlaces(Learned):
    def embed(self, x, places, wpe):
        return x + wpe.take(places) + x.table([[0.1 * p] for p in places])


class RangesOverPlaces(Learned):
    def embed(self, x, places, wpe):
        return x + wpe.take(places) + x.table([[0.1 * p] for p in range(places.start, places.stop)])


class DividesByPlaces(Learned):
    def embed(self, x, places, wpe):
        return x * (1 / places.stop) + wpe.take(places)


class RepeatsByPlaces(Learned):
    def bias(self, scores, places, wpe):
        return scores + scores.table([[0.1] * places.stop])


class ReadsIds(MLP):
    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) + at.w["wte"].take([i % 3 for i in at.ids])


def halves_if_long(scores):
    return softmax(scores * 0.5 if scores.shape[-2] > 5 else scores)


def adds_a_row_each(scores):
    return softmax(scores + scores.table([[0.1 * t] for t in range(scores.shape[-2])]))


def repeats_by_tokens(scores):
    return softmax(scores) * float(len([0] * scores.shape[-1]))


def mean_of_scores(scores):
    return softmax(scores) * mean(scores)


def slices_tokens(scores):
    return softmax(scores[:2].concat(scores[2:]))


def reshapes(scores):
    return softmax(scores).reshape(4, 4)


# Parts that read the number of tokens, or tokens.
READERS = {
    "position": [Stretches, IteratesPlaces, RangesOverPlaces, DividesByPlaces, RepeatsByPlaces],
    "mlp": [Counts, ReadsIds],
    "weighting": [
        tempered,
        halves_if_long,
        adds_a_row_each,
        repeats_by_tokens,
        mean_of_scores,
        slices_tokens,
        reshapes,
    ],
}
