"""Measure the cost of looking inside: names of `see` in a step, diagnostics and pictures at an evaluation.

python -m pytest tests/benchmarks/test_looking.py --benchmark-only -n 0 -s
"""

import time
from importlib import import_module
from statistics import median

import pytest
from needs import needs
from test_compiled import one_thread, trainer  # noqa: F401  (a fixture)

from microgpt_lab import part
from microgpt_lab.core.diagnostics import diagnose, measured

pytestmark = pytest.mark.benchmark(group="looking")
STEPS, ROUNDS = 100, 16  # between two evaluations, and pairs of measurements
MODULES = [import_module(f"microgpt_lab.core.{name}") for name in ("model", "wiring", "interface")]


def seconds(f):
    start = time.process_time()
    f()
    return time.process_time() - start


@pytest.mark.parametrize("backend", ["python", "numpy", "c", "jax"])
def test_looking(benchmark, one_thread, monkeypatch, backend):  # noqa: F811
    """CPU time in turns: a quarter of the steps with and without names, all steps, and each of the looks."""
    needs(backend)
    run, arrays = trainer(backend), part("backend", "numpy")
    run.held_out = run.corpus.train[:200]
    pictures = import_module("microgpt_lab_plugins.callbacks.pictures")

    def with_names():
        run.advance(STEPS // 4)

    def without_names():
        """A `see` that only returns its tensor."""
        with monkeypatch.context() as patched:
            for module in MODULES:
                patched.setattr(module, "see", lambda name, x: x)
            run.advance(STEPS // 4)

    def measure():
        measured.clear()
        diagnose(run, arrays)

    def draw():
        longest = max((tokens for tokens, _ in run.pieces(run.held_out[:20])), key=len)
        for pattern in pictures.patterns(run, longest[:-1]).values():
            pictures.png(pictures.drawn(pictures.squares(pattern)))

    looks = {"with names": with_names, "without names": without_names}
    looks |= {"steps": lambda: run.advance(STEPS), "diagnostics": measure, "pictures": draw}
    compiled = {name: seconds(look) for name, look in looks.items()}

    def take_turns(turn):
        """Each look once, and first with or without names in turns."""
        names = [*looks][:: -1 if turn % 2 else 1]
        run.advance(STEPS // 4)  # so that all begin with the same caches
        return {name: seconds(looks[name]) for name in names}

    rows = benchmark.pedantic(lambda: [take_turns(turn) for turn in range(ROUNDS)])

    def ratio(one, other):
        found = sorted(row[one] / row[other] for row in rows)
        return f"{median(found):.3f} ({found[ROUNDS // 4]:.3f} to {found[-1 - ROUNDS // 4]:.3f})"

    ms = {name: f"{1000 * median(row[name] for row in rows):.1f} ms" for name in looks}
    print(f"\n{backend}: {STEPS} steps take {ms['steps']}")
    print(f"  names of see: {ratio('with names', 'without names')} times as long as without them")
    for name in ("diagnostics", "pictures"):
        first = f"{compiled[name]:.2f} s the first time"
        print(f"  {name}: {ms[name]}, {ratio(name, 'steps')} of these steps; {first}")
