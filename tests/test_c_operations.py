"""Random programs of the array protocol, on tokens and weights of all shapes, are equal on C and python."""

import importlib
from collections import Counter
from contextlib import suppress
from math import inf, prod
from random import Random

import numpy as np
import pytest
from needs import needs

from microgpt_lab import UserError, part
from microgpt_lab.core.backend import Batch
from microgpt_lab.core.derived import convolve
from microgpt_lab.core.places import Places, Table
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors.shapes import DOCS, LENGTH, ShapeTensor, Tokens

registry()
VOCABULARY, C, HEADS, BLOCK = 7, 6, 3, 9
WEIGHTS = {"wte": (VOCABULARY, C), "square": (C, C), "four": (4, C), "row": (1, C), "heads": (1, HEADS)}
WEIGHTS |= {"one": (1, 1), "places": (BLOCK, C), "near": (4, HEADS), "kernel": (BLOCK, 1)}
WEIGHTS |= {"column": (C, 1), "to_vocabulary": (C, VOCABULARY)}
ROWS = {"places": (BLOCK, C), "near": (5, HEADS), "ones": (BLOCK, 1)}
TABLES = {n: Table(np.random.default_rng(0).normal(size=shape).tolist()) for n, shape in ROWS.items()}
SLICES = [slice(a, b, step) for a in (None, 1, 2, -2) for b in (None, 2, 3, -1) for step in (1, 1, 2, -1, -2)]


def masked(x, block, window, how):
    """Scores of which a causal mask hides some, in ways that leave no infinity."""
    y = x.causal(window)
    ways = {
        "softmax": lambda: y.softmax(),
        "sigmoid": lambda: y.apply("sigmoid"),
        "softplus": lambda: y.apply("softplus"),
        "relu": lambda: y.apply("relu") ** 2.0,
        "sums": lambda: y.logsumexp() + y.max(),
        "exp": lambda: (y - y.max()).apply("exp"),
        "where": lambda: (y > -inf).where(x * 0.3, 0.25),
        "visible": lambda: (y > -inf).where(1.0, 0.0).sum(),
    }
    return ways[how]()


# By name: the number of operands, further arguments to draw from, and the function.
OPERATIONS = {
    "add": (2, (), lambda x, y, b: x + y),
    "subtract": (2, (), lambda x, y, b: x - y),
    "multiply": (2, (), lambda x, y, b: x * y),
    "divide": (2, (), lambda x, y, b: x / (y * y + 1.0)),
    "number": (1, ((2.0, -0.5, 0.0),), lambda x, b, k: k - x * k + 1.0 / (x * x + 1.0)),
    "power": (1, ((0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.5),), lambda x, b, n: (x * x + 0.5) ** n),
    "apply": (1, (("tanh", "erf", "sigmoid", "softplus", "relu", "abs"),), lambda x, b, f: x.apply(f)),
    "root": (1, (("log", "sqrt"),), lambda x, b, f: (x * x + 0.3).apply(f)),
    "exp": (1, (), lambda x, b: x.apply("tanh").apply("exp")),
    "where": (4, (), lambda x, y, z, u, b: (x > y).where(z, u) + (x < 0.1).where(z, -1.0)),
    "reduce": (1, (("sum", "max", "logsumexp", "softmax"),), lambda x, b, f: getattr(x, f)()),
    "mask": (
        1,
        ((0, 0, 1, 2, 8), ("softmax", "sigmoid", "softplus", "relu", "sums", "exp", "where", "visible")),
        masked,
    ),
    "transpose": (1, (), lambda x, b: x.T),
    "product": (2, (), lambda x, y, b: x @ y),
    "product of rows": (2, (), lambda x, y, b: x @ y.T),
    "slice": (1, (SLICES,), lambda x, b, s: x[s]),
    "concat": (3, (), lambda x, y, z, b: x.concat(y, z)),
    "reshape": (1, ((1, 2, 3, 6, 9),), lambda x, b, h: x.reshape(h, prod(x.shape) // h)),
    "split": (1, ((1, 2, 3, 6),), lambda x, b, heads: x.split_heads(heads)),
    "merge": (1, (), lambda x, b: x.merge_heads()),
    "take ids": (1, (), lambda x, b: x.take(b.ids)),
    "take places": (1, (), lambda x, b: x.take(b.places)),
    "take rows": (1, ([[0], [0, 2], [2, 0, 2], range(3)],), lambda x, b, rows: x.take(rows)),
    "pick": (1, (), lambda x, b: x.pick(b.targets)),
    "distances": (1, (), lambda x, b: x.by_distance(b.places)),
    "table": (1, (TABLES,), lambda x, b, name: x.table(TABLES[name])),
    "table at places": (1, (), lambda x, b: x.table(TABLES["places"]).take(b.places)),
    "convolve": (1, (), lambda x, b: convolve(x, x.table(TABLES["ones"]), b.places)),
    "total": (1, (), lambda x, b: x.total() + x.norm()),
}
OFTEN = [*OPERATIONS, "multiply", "multiply", "product of rows", "product of rows", "mask", "mask", "split"]


def is_matrix(x, rows=1):
    return len(x.shape) == 2 and all(isinstance(n, int) for n in x.shape) and x.shape[0] >= rows


FITS = {
    "mask": lambda x: x.shape[-1] is LENGTH and x.shape[-2] is LENGTH,
    "distances": lambda x: is_matrix(x) and x.shape[1] in (1, HEADS),
    "take places": lambda x: is_matrix(x, BLOCK),
    "take rows": lambda x: is_matrix(x, 3),
    "take ids": lambda x: is_matrix(x, VOCABULARY),
    "pick": lambda x: (
        len(x.shape) == 3 and x.shape[0] is DOCS and x.shape[-1] is not LENGTH and x.shape[-1] >= VOCABULARY
    ),
    "convolve": lambda x: len(x.shape) == 3 and x.shape[0] is DOCS and x.shape[-2] is LENGTH,
    "total": is_matrix,
    "reshape": is_matrix,
}


class Inputs:
    """Ids, targets and places of a block."""

    def __init__(self, ids, targets, length):
        self.ids, self.targets, self.places = ids, targets, Places(0, length)


def drawn(rng, size):
    """Draw a program: operations on earlier results, tried on shapes. Returns also what nothing reads."""
    found, inputs = [], Inputs(Tokens(DOCS, LENGTH), Tokens(DOCS, LENGTH), LENGTH)
    known = [*(ShapeTensor(shape) for shape in WEIGHTS.values()), ShapeTensor((DOCS, LENGTH, C))]
    while len(found) < size:
        name = rng.choice(OFTEN)
        count, choices, f = OPERATIONS[name]
        operands = [rng.choice((rng.randrange(len(known)), len(known) - 1)) for _ in range(count)]
        more = [rng.choice(list(each)) for each in choices]
        if name in FITS and not FITS[name](known[operands[0]]):
            continue
        with suppress(ValueError, TypeError):  # shapes that do not fit
            y = f(*(known[i] for i in operands), inputs, *more)
            sizes = [n for n in y.shape if isinstance(n, int)]
            if len(y.shape) < 5 and 0 < prod(sizes) <= 200:
                found.append((name, operands, more))
                known.append(y)
    read = {i for _, operands, _ in found for i in operands}
    ends = [(i, x.shape) for i, x in enumerate(known) if i >= len(WEIGHTS) and i not in read]
    return found, ends


def loss(program, w, block):
    """Compute the program, and a loss of each token from its results."""
    found, ends = program
    x = w["wte"].take(block.ids)
    inputs, known = Inputs(block.ids, block.targets, x.shape[-2]), [*w.values(), x]
    for name, operands, more in found:
        known.append(OPERATIONS[name][2](*(known[i] for i in operands), inputs, *more))
    y = x.sum() * 0.1
    for i, shape in ends:
        end = ((known[i] * 1.3 + 0.2) ** 2.0).sum()
        if len(shape) == 4 or (len(shape) == 3 and shape[0] is not DOCS):
            end = end.merge_heads().sum()
        y = y + (end if shape[-2] is LENGTH else end.T.sum()).apply("tanh")
    return y


def step(backend, programs):
    """The losses of programs, each of its own weights, and their gradients, as a function to scan."""

    def total(w, blocks):
        own = [{n: w[f"w{i}.{n}"] for n in WEIGHTS} for i in range(len(programs))]
        each = [
            sum((loss(p, own, b) * b.loss_weight).total() for b in blocks) for p, own in zip(programs, own)
        ]
        return sum(each[1:], start=each[0]).concat(*each)

    def f(w, blocks):
        row, grads = backend.value_and_grad(lambda w: total(w, blocks), w)
        return grads, [row[i : i + 1] for i in range(1, row.shape[-1])]

    return f


def batch(rng, docs):
    lengths = [rng.choice((1, 2, 5, 8, 9)) for _ in range(docs)]
    return Batch([[rng.randrange(VOCABULARY) for _ in range(n + 1)] for n in lengths], BLOCK, mean=True)


def compare(seeds):
    """Compile programs together, and compare them with python. Returns how many were compared or refused."""
    c, python = part("backend", "c"), part("backend", "python")
    trace = importlib.import_module("microgpt_lab_plugins.backends.c.trace").trace
    counts, programs, rows = Counter(), [], {}
    for seed in seeds:
        rng = Random(f"program {seed}")
        program = drawn(rng, rng.choice((2, 3, 5, 8, 12)))
        own = {n: [[rng.gauss(0, 0.7) for _ in range(b)] for _ in range(a)] for n, (a, b) in WEIGHTS.items()}
        w = {f"w0.{n}": c.tensor(x) for n, x in own.items()}
        try:
            trace(step(c, [program]), w, [batch(rng, 1)])
        except UserError as error:
            assert str(error).startswith("backend=c cannot compile ") and "\n" not in str(error)
            counts["refused"] += 1
            continue
        rows |= {f"w{len(programs)}.{n}": x for n, x in own.items()}
        programs.append((seed, program))
    f = [step(backend, [program for _, program in programs]) for backend in (c, python)]
    scan = c.scan(f[0])
    for docs in (1, 12):
        each = batch(Random(docs), docs)
        grads, (found,) = scan({n: c.tensor(x) for n, x in rows.items()}, [(each,)])
        expected, losses = f[1]({n: python.tensor(x) for n, x in rows.items()}, python.blocks(each))
        for i, (seed, program) in enumerate(programs):
            pairs = [
                (np.array(grads[n].tolist()), np.array(expected[n].tolist()))
                for n in rows
                if n.startswith(f"w{i}.")
            ]
            pairs.append((found[i], losses[i].item()))
            if all(np.isfinite(y).all() and np.abs(y).max() < 1e6 for _, y in pairs):
                for x, y in pairs:
                    np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9, err_msg=f"{seed}: {program}")
                counts["compared"] += 1
    return counts


@pytest.mark.thorough
def test_random_programs_are_equal_on_c():
    needs("c")
    assert compare(range(8))["compared"] >= 8


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 500, 10))
def test_400_random_programs_are_equal_on_c(first):
    needs("c")
    assert compare(range(first, first + 10))["compared"] >= 8
