"""The C functions that compiled steps call: products, sums, functions of a number."""

import ctypes
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab.core.floats import FUNCTIONS
from microgpt_lab.registry import plugins

NAMES = ("exp", "log", "tanh", "erf", "sigmoid", "softplus")
FULL, RESULT, LEFT, LEFT_T = range(4)
BLOCK = 40  # the largest number of tokens of a document
CALLS = """
void call_product(int64_t kind, int64_t window, int64_t M, int64_t N, int64_t K,
                  const real *a, int64_t ra, int64_t ca, const real *b, int64_t rb, int64_t cb,
                  real *c, int64_t rc, int64_t add) {
  scores_matmul(kind, window, M, N, K, a, ra, ca, b, rb, cb, c, rc, add);
}
void call_scatter(int64_t N, int64_t C, const real *g, int64_t rg, const int *ids, real *c) {
  scatter(N, C, g, rg, ids, c);
}
void call_distances(int64_t docs, const int64_t *start, const int64_t *square, int64_t H, int64_t size,
                    int64_t window, const real *g, int64_t rg, int64_t cg, real *c) {
  Batch batch = {.docs = docs, .start = start, .square = square};
  distances(&batch, H, size, window, g, rg, cg, c);
}
""" + "".join(
    f"""void call_{name}(int64_t n, const real *x, real *y) {{
  _Pragma("omp simd")
  for (int64_t i = 0; i < n; i++) y[i] = {name}_(x[i]);
}}
"""
    for name in NAMES
)


class Kernels:
    """The functions, compiled for numbers of one type."""

    def __init__(self, real):
        plugins.registry()
        build = importlib.import_module("microgpt_lab_plugins.backends.c.build")
        if build.compiler() is None:
            pytest.skip("needs a C compiler")
        header = Path(build.__file__).with_name("kernels.h").read_text(encoding="utf-8")
        self.dtype = np.dtype(real)
        c_type = {"float64": "double", "float32": "float"}[real]
        self.library = build.load(f"typedef {c_type} real;\nenum {{ BLOCK = {BLOCK} }};\n{header}{CALLS}")

    def call(self, name, *args):
        """Call a function with int64_t, and pointers to the numbers of arrays."""
        function = getattr(self.library, f"call_{name}")
        function.restype = None
        function(
            *[ctypes.c_void_p(x.ctypes.data) if hasattr(x, "ctypes") else ctypes.c_int64(x) for x in args]
        )

    def product(self, kind, window, a, b, c, add):
        (M, K), N = a.shape, b.shape[1]
        (ra, ca), (rb, cb), (rc, _) = ([n // x.itemsize for n in x.strides] for x in (a, b, c))
        self.call("product", kind, window, M, N, K, a, ra, ca, b, rb, cb, c, rc, int(add))

    def matrix(self, values, transposed=False, gap=0, behind=0):
        """A matrix, transposed or not, with NaN between its rows and in the bytes behind it."""
        if transposed:
            return self.matrix(values.T, False, gap, behind).T
        rows, columns = values.shape
        size = max((rows - 1) * (columns + gap) + columns, 0) + behind // self.dtype.itemsize
        memory = np.full(max(size, 1), np.nan, self.dtype)
        strides = ((columns + gap) * self.dtype.itemsize, self.dtype.itemsize)
        x = np.lib.stride_tricks.as_strided(memory, values.shape, strides)
        x[...] = values
        return x

    def close(self, found, a, b, c):
        """Whether a result is c + a @ b, except for rounding."""
        a, b, c = (x.astype(np.float64) for x in (a, b, c))
        error = np.finfo(self.dtype).eps * (a.shape[1] + 1) * (np.abs(a) @ np.abs(b) + np.abs(c))
        return np.abs(found - (c + a @ b)) <= error


@pytest.fixture(scope="module", params=["float64", "float32"])
def kernels(request):
    return Kernels(request.param)


def blocks(T, window):
    """Which of the scores of T tokens exist: those in a block of 8 x 8 with one that the mask leaves."""
    distance = np.subtract.outer(np.arange(-(-T // 8) * 8), np.arange(-(-T // 8) * 8))
    left = (distance >= 0) & (distance < (window or T + 8))
    some = left.reshape(len(left) // 8, 8, -1, 8).any((1, 3))
    return some.repeat(8, 0).repeat(8, 1)[:T, :T]


LAYOUTS = st.tuples(st.booleans(), st.integers(0, 3))
SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(max_examples=100, deadline=None)
@given(
    M=st.integers(1, 40),
    N=st.integers(1, 40),
    K=st.integers(0, 20) | st.sampled_from([255, 256, 257, 600]),
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    add=st.booleans(),
    random=SEEDS,
)
def test_a_product_equals_numpys(kernels, M, N, K, layouts, add, random):
    a, b, c = (random.normal(size=shape) for shape in ((M, K), (K, N), (M, N)))
    a, b = kernels.matrix(a, *layouts[0]), kernels.matrix(b, *layouts[1], behind=64)
    c = kernels.matrix(c, gap=2)
    before, around = c.copy(), np.lib.stride_tricks.as_strided(c[:, N - 1 :], (M - 1, 3), c.strides)[:, 1:]
    kernels.product(FULL, 0, a, b, c, add)
    assert kernels.close(c, a, b, before * add).all()
    assert np.isnan(around).all()


@settings(max_examples=100, deadline=None)
@given(
    T=st.integers(1, 40) | st.sampled_from([64, 257, 300]),
    C=st.integers(1, 20),
    window=st.integers(0, 40) | st.just(300),
    kind=st.sampled_from([RESULT, LEFT, LEFT_T]),
    layout=LAYOUTS,
    add=st.booleans(),
    random=SEEDS,
)
def test_products_with_scores_do_not_depend_on_hidden_ones(kernels, T, C, window, kind, layout, add, random):
    exist = blocks(T, window)
    scores = np.where(exist, random.normal(size=(T, T)), np.nan)
    left, right = random.normal(size=(T, C)), random.normal(size=(T, C))
    if kind == RESULT:
        a, b = kernels.matrix(left, *layout), kernels.matrix(right.T, *layout, behind=64)
        c = kernels.matrix(scores)
    else:
        a = kernels.matrix(scores) if kind == LEFT else kernels.matrix(scores).T
        b, c = kernels.matrix(right, *layout, behind=64), kernels.matrix(left, gap=1)
    before = c.copy()
    kernels.product(kind, window, a, b, c, add)
    close = kernels.close(c, np.nan_to_num(a), b, before if add else np.zeros_like(before))
    assert close[exist].all() if kind == RESULT else close.all()


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, BLOCK) | st.just(BLOCK), max_size=3),
    heads=st.integers(1, 3),
    window=st.integers(0, BLOCK),
    transposed=st.booleans(),
    random=SEEDS,
)
def test_scores_are_summed_by_distance(kernels, lengths, heads, window, transposed, random):
    expected, scores = np.zeros((BLOCK + 3, heads)), [np.zeros(0)]
    for T in lengths:
        left = np.tril(blocks(T, window))  # no table reaches tokens that are ahead
        one = np.where(left, random.normal(size=(heads, T, T)).astype(kernels.dtype), np.nan)
        np.add.at(expected, np.subtract(*np.nonzero(left)), one[:, left].T)
        scores.append((one.swapaxes(1, 2) if transposed else one).ravel())
    scores = np.concatenate(scores).astype(kernels.dtype)
    start, square = (np.cumsum([0, *sizes]) for sizes in (lengths, [T * T for T in lengths]))
    found = np.full_like(expected, np.nan, kernels.dtype)
    strides = (1, -1) if transposed else (-1, 1)  # -1: the length of the document
    kernels.call("distances", len(lengths), start, square, heads, BLOCK + 3, window, scores, *strides, found)
    assert np.allclose(found, expected, rtol=0, atol=200 * np.finfo(kernels.dtype).eps)


def test_rows_are_summed_by_number(kernels):
    rows, ids = np.arange(20, dtype=kernels.dtype).reshape(5, 4), np.array([2, 0, 2, 2, 1], np.int32)
    expected = np.ones((4, 3), kernels.dtype)
    found = expected.copy()
    np.add.at(expected, ids, rows[:, :3])
    kernels.call("scatter", 5, 3, rows, 4, ids, found)
    assert (found == expected).all()


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_as_exact_as_those_of_math(kernels, name):
    """And so are infinities, NaN, zeros with their signs, and numbers close to the limits of the range."""
    random, limits = np.random.default_rng(0), np.finfo(kernels.dtype)
    largest = {"float64": (709.7, 720, 745.1), "float32": (88.7, 95, 103.9)}[kernels.dtype.name]
    x = np.concatenate(
        [
            random.normal(size=500) * 10.0 ** random.integers(-30, 3, 500),
            random.uniform(-6, 6, 1000),
            1 + random.normal(size=200) * 1e-3,
            np.exp(random.uniform(-80, 80, 300)),
            [
                s * n
                for n in (limits.tiny, limits.smallest_subnormal, limits.max / 2, *largest)
                for s in (1, -1)
            ],
            [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan],
        ]
    ).astype(kernels.dtype)
    y = np.empty_like(x)
    kernels.call(name, len(x), x, y)
    expected = np.array([FUNCTIONS[name][0](v) for v in x.tolist()])
    with np.errstate(over="ignore"):  # e^x may be infinite as a float32
        rounded = expected.astype(kernels.dtype)
    common = np.isfinite(rounded) & (rounded != 0)
    assert np.array_equal(y[~common], rounded[~common], equal_nan=True)
    assert (np.signbit(y) == np.signbit(rounded))[~np.isnan(rounded)].all()
    error = np.abs(y[common] - expected[common]) / np.spacing(np.abs(rounded[common]))
    assert error.max() <= {"exp": 1.5, "log": 1.5}.get(name, 3)  # units in the last place


SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.slow
@pytest.mark.parametrize("options", [SANITIZE, "-march=native", "-U__AVX__"])
def test_vectors_of_any_width_give_the_same_and_sanitizers_find_nothing(options):
    def answer(option):
        cc = shutil.which("cc") or pytest.skip("needs gcc as cc")
        return subprocess.run([cc, option], capture_output=True, text=True).stdout.strip()

    if "Free Software Foundation" not in answer("--version"):
        pytest.skip("needs gcc as cc")
    env = os.environ | {"CC": f"cc {options}"}
    if options == SANITIZE:
        library = answer("-print-file-name=libasan.so")
        if not Path(library).is_absolute():
            pytest.skip("needs libasan")
        env |= {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-P", "-m", "pytest", "-n", "0", "-s", "-m", "not slow", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
