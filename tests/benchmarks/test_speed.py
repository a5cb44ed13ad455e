"""A training step beside that of the published algorithm, in the same process.

python -m pytest tests/benchmarks --benchmark-only -n 0 -s
"""

import gc
import time
from pathlib import Path
from statistics import median

import pytest
from benchmarks.reference import Reference

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.data import lines

DOCUMENTS = lines(Path(__file__).parents[2] / "plugins" / "datasets" / "us_names.txt")


def trainer():
    corpus = Corpus(DOCUMENTS, split="none")
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"))
    return Trainer(
        model, corpus, part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "python")
    )


@pytest.mark.benchmark(group="one training step")
def test_step_of_the_lab(benchmark):
    benchmark.pedantic(trainer().advance, rounds=60, warmup_rounds=5)


@pytest.mark.benchmark(group="one training step")
def test_step_of_the_published_algorithm(benchmark):
    benchmark.pedantic(Reference(DOCUMENTS).train_step, rounds=30, warmup_rounds=2)


@pytest.mark.benchmark(group="evaluation of one document")
def test_evaluation(benchmark):
    run = trainer()
    benchmark.pedantic(lambda: run.evaluate(run.corpus.train[:20]), rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="ratio")
def test_ratio_on_the_same_documents(benchmark):
    """CPU time of both in turn, four documents at a time, so that a machine's moods hit both alike."""
    lab, reference, ratios = trainer(), Reference(DOCUMENTS), []

    def seconds(step):
        gc.collect()  # what the other left
        start = time.process_time()
        for _ in range(4):
            step()
        return time.process_time() - start

    def both():
        theirs = seconds(reference.train_step)
        ratios.append(theirs / seconds(lab.advance))

    benchmark.pedantic(both, rounds=20)
    benchmark.extra_info["ratio"] = median(ratios)
    low, middle, high = min(ratios), median(ratios), max(ratios)
    print(f"\nthe published algorithm takes {middle:.1f} times as long ({low:.1f} to {high:.1f})")
