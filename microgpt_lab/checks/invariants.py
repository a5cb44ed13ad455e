"""Check what must hold for every part of a GPT, in a small GPT whose weights are all random.

Each function takes a model. It raises AssertionError with what is broken, and in which document.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import accumulate, chain
from typing import Any

from microgpt_lab.checks.gradients import noise
from microgpt_lab.checks.small import (
    BLOCK_SIZE,
    IDS,
    PIECES,
    VOCAB_SIZE,
    count,
    gradients,
    logits,
    on_the_shortest,
    random_weights,
    targets_of,
    total_loss,
)
from microgpt_lab.core.backend import Batch
from microgpt_lab.core.cache import Cache
from microgpt_lab.core.model import GPT
from microgpt_lab.core.see import looking, seen
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.probe import uncallable
from microgpt_lab.run.sizes import misdeclared
from microgpt_lab.tensors.padding import padded
from microgpt_lab.tensors.shapes import DOCS, Tokens, TokensRead, Unknown, on_shapes, same, weight_shapes
from microgpt_lab.tensors.tensor import Tensor

CACHED = [1] * len(IDS), [2, 1, 4], [3, 4]  # numbers of tokens that are computed at a time
TINY = 1e-7  # share of the largest gradient that counts as none
LONG_BLOCK = 1000  # in which a table of fewer rows shows


def assert_declared(model: GPT) -> None:
    """Check that weights are declared with known roles, or as rows, and that parts take them."""
    for name, each in model.declared.items():
        assert not (wrong := misdeclared(each)), f"{name} is declared as {each!r:.40}: {wrong}"
    for _, message in uncallable(model):
        raise AssertionError(message)


@on_the_shortest
def assert_finite(model: GPT, ids: list[int]) -> None:
    """Check that logits are finite numbers at random weights."""
    rows = logits(model, tuple(ids))
    finite = all(math.isfinite(x) for row in rows for x in row)
    assert finite, f"not finite: the logits of a document of {count(len(ids))}, at random weights"


@on_the_shortest
def assert_repeatable(model: GPT, ids: list[int]) -> None:
    """Check that the logits are the same each time."""
    again = model.logits(random_weights(model), ids).tolist()
    assert repr(again) == repr(logits(model, tuple(ids))), (  # NaN is another check's business
        f"not repeatable: the same document of {count(len(ids))} has other logits the second time"
    )


@contextlib.contextmanager
def length_free() -> Iterator[None]:
    """Say of an error in a computation with shapes alone which invariant it breaks."""
    TokensRead.raised.clear()
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        if not TokensRead.raised:
            raise AssertionError(f"raises {type(error).__name__}: {error}") from error
    assert not TokensRead.raised, f"not length-free: {TokensRead.raised[0]}"


def assert_length_free(model: GPT) -> None:
    """Check that no part reads the number of documents or tokens, or tokens, and that shapes are kept.

    The model computes with tensors that have no numbers (see `microgpt_lab.tensors.shapes`).
    """
    with contextlib.suppress(ValueError):  # a part may refuse a long block
        longer = replace(model, block_size=LONG_BLOCK)
        longer.tables  # noqa: B018  which may be refused, too
        model = longer
    length = Unknown("tokens", largest=model.block_size)
    stream, found = (DOCS, length, model.embed), []
    tokens: Any = Tokens(DOCS, length)

    def look(name: str, x: Any) -> Any:
        if re.fullmatch(r"embed|layer\d+\.(attention|mlp|end)", name):
            found.append(name)
            assert same(x.shape, stream), f"the shape is not kept: {name} is {x.shape}, not {stream}"
        return x

    with length_free(), looking(look):
        losses, _ = on_shapes(model, DOCS, length)
    counts = Counter(found)
    with length_free():  # as in an evaluation, without dropout and auxiliary losses
        model.nll(weight_shapes(model), tokens, tokens)
    for loss in losses:
        one = DOCS, length, 1
        assert same(loss.shape, one), f"the shape of a loss is {loss.shape}, not {one}"
    for name in (f"layer{i}.{kind}" for i in range(model.layers) for kind in ("attention", "mlp")):
        times = counts[name]
        assert times == 1, f"a block calls attention and mlp once each, but {name} is called {times} times"


def assert_aux_losses(model: GPT) -> None:
    """Check that parts add the losses that their `aux_losses` lists, and no others."""
    aux: dict[str, Tensor] = {}
    model.logits(random_weights(model), IDS, aux=aux)
    declared = {name for each in model.parts.values() for name in getattr(each, "aux_losses", ())}
    for name in sorted(aux.keys() - declared):
        listed = f"the part's `aux_losses`, {sorted(declared)}"
        raise AssertionError(f"the loss '{name}' is added, but is not in {listed}")
    for name in sorted(declared - aux.keys()):
        raise AssertionError(f"the loss '{name}' is in `aux_losses`, but is never added")


@on_the_shortest
def assert_causal(model: GPT, ids: list[int]) -> None:
    """Check that a token changes no logits and no loss before it, exactly."""
    weights, targets = random_weights(model), targets_of(ids)

    def rows(ids: list[int]) -> dict[str, list]:
        with seen("logits") as inside:
            losses = model.objective(weights, ids, targets)
        return {"logits": inside["logits"].tolist(), "loss": losses[0].tolist()}

    before = rows(ids)
    for t in range(1, len(ids)):
        after = rows([*ids[:t], (ids[t] + 1) % VOCAB_SIZE, *ids[t + 1 :]])
        for name, numbers in before.items():
            changed = next((i for i in range(t) if repr(after[name][i]) != repr(numbers[i])), None)
            assert changed is None, (
                f"peeks at later tokens: changing token {t} changed the {name} of token {changed}, "
                f"in a document of {count(len(ids))}"
            )


@on_the_shortest
def assert_cached(model: GPT, ids: list[int]) -> None:
    """Check that the logits of tokens in several pieces, with a cache, are those of all tokens at once."""
    whole = logits(model, tuple(ids))
    advice = "take states of previous tokens from at.remember, and places from at.places"
    for sizes in CACHED:
        stops = [*(stop for stop in accumulate(sizes) if stop < len(ids)), len(ids)]
        for t, wrong in different_with_cache(model, ids, stops, whole):
            pieces = ", ".join(str(stop - start) for start, stop in zip([0, *stops], stops))
            raise AssertionError(
                f"wrong with a cache: in pieces of {pieces} tokens, token {t} {wrong}: {advice}"
            )


def different_with_cache(
    model: GPT, ids: list[int], stops: list[int], whole: list[list[float]]
) -> Iterator[tuple[int, str]]:
    """Yield each token that has other logits if a document is computed in pieces up to these stops."""
    cache = Cache()
    for start, stop in zip([0, *stops], stops):
        try:
            rows = model.logits(random_weights(model), ids[start:stop], cache).tolist()
        except (ValueError, IndexError, TypeError) as error:
            yield start, f"raises {type(error).__name__}: {error}"
            return
        if len(rows) != stop - start:
            yield start, f"has {len(rows)} rows of logits"
            return
        for t, row in enumerate(rows, start):
            if not close(row, whole[t]):
                yield t, "has other logits than in the whole document"


def close(a: list[float], b: list[float], tolerance: float = 1e-9) -> bool:
    """Whether numbers are equal up to rounding, NaN and NaN, too."""
    pairs = zip(a, b, strict=True)
    return all(
        math.isclose(x, y, rel_tol=tolerance, abs_tol=tolerance) or (x != x and y != y) for x, y in pairs
    )


def assert_alive(model: GPT) -> None:
    """Check that each weight receives gradient: not all tiny, nor most rows or columns in all layers.

    Some rows may have none: such as those of inactive experts. Names in a part's `without_gradient`, which
    may have wildcards as in `seen`, are exceptions.
    """
    parts = [getattr(each, "func", each) for each in (*model.parts.values(), model.norm)]
    exceptions = [name for each in parts for name in getattr(each, "without_gradient", ())]
    slopes = {
        name: [[abs(x) for x in row] for row in rows]
        for name, rows in gradients(model, tuple(IDS)).items()
        if not any(fnmatchcase(name, pattern) for pattern in exceptions)
    }
    tiny = TINY * max(max(map(max, rows)) for rows in slopes.values())
    layers: dict[str, list] = {}
    for name, rows in slopes.items():
        assert not max(map(max, rows)) <= tiny, f"dead weight: {name} receives no gradient"
        layers.setdefault(re.sub(r"^layer\d+", "layer*", name), []).append(rows)
    for name, matrices in layers.items():
        for what, f in (("rows", list), ("columns", lambda rows: zip(*rows, strict=True))):
            lines = [[max(line) for line in f(rows)] for rows in matrices]
            alive = [max(same_line) > tiny for same_line in zip(*lines)]
            assert sum(alive) >= len(alive) / 2, (
                f"dead weight: {alive.count(False)} of {len(alive)} {what} of {name} receive no gradient"
            )


@on_the_shortest
def assert_right_gradients(model: GPT, ids: list[int]) -> None:
    """Check that the gradients of all weights equal central differences."""
    grads = gradients(model, tuple(ids))
    if not slopes_agree(model, ids, grads, list(grads)):
        wrong = [name for name in grads if not slopes_agree(model, ids, grads, [name])]
        raise AssertionError(
            f"wrong gradient: that of {', '.join(wrong)} is not that of central differences, for "
            f"a document of {count(len(ids))}"
        )


def slopes_agree(model: GPT, ids: list[int], grads: dict[str, list[list[float]]], names: list[str]) -> bool:
    """Whether Σ gradient · d is (f(w + h d) - f(w - h d)) / 2h, for a random direction d of these weights.

    Where f is steep and curved, as a norm of two nearly equal numbers is, only a smaller h is near the limit.
    """
    weights = random_weights(model)
    steps = {name: noise(*weights[name].shape, seed=5) for name in names}
    slope = math.fsum(
        g * x for name, d in steps.items() for g, x in zip(chain(*grads[name]), d.data, strict=True)
    )

    def loss(h: float) -> float:
        moved = {name: weights[name] + d * h for name, d in steps.items()}
        return total_loss(model, weights | moved, ids).item()

    return any(
        math.isclose((loss(h) - loss(-h)) / (2 * h), slope, rel_tol=1e-5, abs_tol=1e-5) for h in (1e-6, 1e-7)
    )


def assert_padding_is_ignored(model: GPT) -> None:
    """Check that the losses of a document in a padded batch are those of the document alone, on numpy."""
    backend = registry().get("backend", "numpy").build()
    weights = {name: backend.tensor(w.tolist()) for name, w in random_weights(model).items()}
    batch = padded([Batch(PIECES, BLOCK_SIZE, mean=False)], "float64")
    together = model.objective(weights, batch.ids[0], batch.targets[0])[0].tolist()
    for i, piece in sorted(enumerate(PIECES), key=lambda pair: len(pair[1])):
        alone = model.objective(weights, piece[:-1], piece[1:])[0].tolist()
        for t, row in enumerate(alone):
            padded_row = together[i * BLOCK_SIZE + t]
            assert close(row, padded_row), (
                f"depends on padding: the loss of token {t} of {len(alone)} is {row[0]} in a document alone, "
                f"but {padded_row[0]} in a batch with longer ones"
            )


INVARIANTS: dict[str, Callable[[GPT], None]] = {
    "weights": assert_declared,
    "length-free": assert_length_free,
    "finite": assert_finite,
    "repeatable": assert_repeatable,
    "auxiliary losses": assert_aux_losses,
    "causal": assert_causal,
    "cached = whole": assert_cached,
    "gradients": assert_right_gradients,
    "alone = in a batch": assert_padding_is_ignored,
}
