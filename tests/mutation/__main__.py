"""Find small changes that the tests do not detect: `python tests/mutation [FILE …] [--sample N]`.

Every mutant (see mutants.py) of each file that decides results is written into a copy of the tree. The tests
of this file run on it, in a fork of a process that has loaded the libraries, until a test fails. A mutant
that passes all tests has survived. If survivors.json does not state its reason, a test is missing. The exit
status is 1 if there are survivors without a reason.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
REASONS = Path(__file__).with_name("survivors.json")
LIBRARIES = (
    "pytest",
    "hypothesis",
    "numpy",
    "scipy.stats",
    "pandas",
    "hydra",
    "rich",
    "jinja2",
    "matplotlib",
)

# Files that decide results, and their tests: quick and strict tests first, then tests for mutants that pass
# these. A file belongs to the first pattern that it matches.
PARTS = "test_parts -k 'dropout or batch or callbacks or evaluation'"
LOSSES = ("test_model", PARTS, "test_golden -k 'short or square or 243 or published'")
BY_HAND = ("report/test_figures_by_hand", "report/test_edges")
TESTS = {
    "plugins/schedulers/*.py": (
        "test_schedulers",
        "test_bounds -k 'scheduler or decay'",
        "test_defaults",
        "test_parts -k scheduler",
    ),
    "microgpt_lab/core/warmup.py": ("test_schedulers",),
    "plugins/optimizers/*.py": ("test_optimizers", "test_defaults", "test_parts -k optimizer"),
    "plugins/datasets/text/*.py": ("test_text",),
    "plugins/datasets/shakespeare/make.py": (),  # needs the source of the plays
    "plugins/datasets/huggingface.py": (),  # needs the package `datasets`
    "plugins/datasets/*.py": (
        "test_datasets",
        "test_bounds -k dataset",
        "test_defaults",
        "test_data",
    ),
    "microgpt_lab/core/guessing.py": ("test_data", "test_streams"),
    "microgpt_lab/core/reading.py": ("faults/test_odd_data -k 'not gigabyte'", "test_data", "test_datasets"),
    "microgpt_lab/core/streams.py": ("test_streams",),
    "microgpt_lab/core/pieces.py": ("test_streams", "test_unseen", "test_data"),
    "microgpt_lab/core/tokenizer.py": ("test_tokenizers", "test_data"),
    "plugins/tokenizers/*.py": ("test_tokenizers",),
    "microgpt_lab/core/data.py": (
        "test_streams",
        "test_data",
        "test_defaults",
        "test_datasets",
        "faults/test_odd_data -k 'not refused and not pipe and not input and not gigabyte'",
    ),
    "microgpt_lab/options/overrides.py": ("test_results",),
    "microgpt_lab/sweeps/table.py": ("test_results",),
    "microgpt_lab/report/alignment.py": (*BY_HAND, "report/test_comparison", "report/test_analysis"),
    "microgpt_lab/report/comparison.py": (
        *BY_HAND,
        "report/test_comparison -k 'not once_in_twenty and not three_of_four'",
        "report/test_comparison",
        "report/test_analysis",
    ),
    # analysis, settings, wording
    "microgpt_lab/report/[asw]*.py": (*BY_HAND, "report/test_analysis", "report/test_questions"),
    "microgpt_lab/core/autograd.py": ("test_autograd", "test_model"),
    "microgpt_lab/core/ops.py": (
        "test_autograd",
        "test_model",
        "faults/test_numerics -k 'softmax or functions'",
    ),
    "microgpt_lab/core/floats.py": (
        "test_autograd",
        "faults/test_numerics -k 'functions or powers or softmax'",
    ),
    "microgpt_lab/tensors/tensor.py": ("test_autograd", *LOSSES, "test_backends -k 'numpy and operations'"),
    "microgpt_lab/core/model.py": ("test_defaults", *LOSSES),
    "microgpt_lab/core/sampler.py": ("test_samplers", "test_model", PARTS),
    "microgpt_lab/core/packing.py": LOSSES,
    "microgpt_lab/core/backend.py": (*LOSSES, "test_backends -k 'numpy and settings'"),
    "microgpt_lab/tensors/padding.py": ("test_backends -k 'numpy and not every_part'",),
    "microgpt_lab/tensors/masks.py": ("test_backends -k 'numpy and dropout'",),
    "microgpt_lab/core/divergence.py": ("faults/test_divergence -k 'not every_backend'", *LOSSES),
    "microgpt_lab/core/evaluation.py": (*LOSSES, "test_backends -k 'numpy and not every_part'"),
    "microgpt_lab/core/trainer.py": (
        "test_defaults",
        *LOSSES,
        "test_backends -k 'numpy and not every_part'",
        "faults/test_divergence -k 'not every_backend'",
    ),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python tests/mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="patterns of files (default: all files that have tests)")
    parser.add_argument("--sample", type=int, metavar="N", help="number of mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--jobs", type=int, default=1, help="number of mutants that run at the same time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result of each mutant to FILE")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run only the survivors of such a FILE")
    options = parser.parse_args(arguments)
    selected = [mutant for file in files(options.files) for mutant in mutants(ROOT, file)]
    if options.again:
        rows = json.loads(options.again.read_text(encoding="utf-8"))
        survived = {row["key"] for row in rows if row["result"] == "survived"}
        selected = [mutant for mutant in selected if mutant.key in survived]
    if options.sample is not None and options.sample < len(selected):
        drawn = set(random.Random(options.seed).sample(range(len(selected)), options.sample))
        selected = [mutant for i, mutant in enumerate(selected) if i in drawn]
    results = run(selected, options.jobs)
    if options.json:
        rows = [{"key": m.key, "line": m.line, "result": result} for m, result in results]
        options.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return report(results)


def files(patterns: list[str]) -> list[str]:
    """Files of the repository that match a pattern and have tests."""

    def has_tests(name: str) -> bool:
        return bool(next((tests for pattern, tests in TESTS.items() if fnmatch(name, pattern)), ()))

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    known = [name for name in listed.stdout.split() if has_tests(name)]
    chosen = [name for name in known if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]
    if not chosen:
        raise SystemExit(f"no file matches {' '.join(patterns)}; patterns: {' '.join(TESTS)}")
    return chosen


def tests_of(file: str) -> list[list[str]]:
    """Arguments of each call of pytest for this file."""
    names = next(tests for pattern, tests in TESTS.items() if fnmatch(file, pattern))
    pairs = (name.partition(" -k ") for name in names)
    return [[f"tests/{name}.py", *(["-k", words.strip("'")] if words else [])] for name, _, words in pairs]


class Tree:
    """Copy of the repository, for one mutant after the other."""

    def __init__(self, folder: Path):
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)

    def start(self, file: str, source: str, seconds: float, compiled: bool = False) -> int:
        """Write this text into the file, and run the file's tests in another process."""
        path = self.folder / file
        for old in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            old.unlink()  # compiled from another text, perhaps with the same length and modification time
        path.write_text(source, encoding="utf-8")
        pid = os.fork()
        if not pid:
            status = 1
            try:
                status = self.test(file, seconds, compiled)
            except BaseException:
                traceback.print_exc()
            os._exit(status)
        return pid

    def test(self, file: str, seconds: float, compiled: bool) -> int:
        os.setsid()
        os.chdir(self.folder)
        log = os.open(self.folder / "mutation.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.setitimer(signal.ITIMER_REAL, 5 * seconds)  # for tests that wait
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))  # for endless loops
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        sys.dont_write_bytecode = not compiled
        os.environ |= {"PYTHONPATH": str(self.folder), "MICROGPT_LAB_HOME": str(self.folder / "home")}
        os.environ.setdefault("MICROGPT_LAB_TEST_DATA", str(ROOT.parent / "shared" / "data"))
        if not compiled:
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path[0] = str(self.folder)
        import pytest

        quiet = ["-x", "-q", "-o", "addopts=", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist"]
        quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # because libraries are already loaded
        for arguments in tests_of(file):
            if status := pytest.main([*quiet, *arguments]):
                return int(status)
        return 0


def run(selected: list[Mutant], jobs: int) -> list[tuple[Mutant, str]]:
    """Run the tests of each mutant. The result is killed, late (killed by the time limit) or survived."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    results: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as directory:
        trees = [Tree(Path(directory) / str(i)) for i in range(jobs)]
        originals = {file: (ROOT / file).read_text(encoding="utf-8") for file in {m.file for m in selected}}
        limits = {file: time_limit(trees, file, text) for file, text in originals.items()}
        waiting, running = list(enumerate(selected))[::-1], {}
        while waiting or running:
            while waiting and trees:
                i, mutant = waiting.pop()
                tree = trees.pop()
                running[tree.start(mutant.file, mutant.source, limits[mutant.file])] = i, tree
            pid, status = os.wait()
            i, tree = running.pop(pid)
            mutant = selected[i]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # processes that its tests have started
            (tree.folder / mutant.file).write_text(originals[mutant.file], encoding="utf-8")
            trees.append(tree)
            code = os.waitstatus_to_exitcode(status)
            late = code in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL)
            results[i] = "late" if late else "killed" if code else "survived"
            if not code:
                print(f"survived: {mutant.file}:{mutant.line} {mutant.key}", file=sys.stderr, flush=True)
    return [(mutant, results[i]) for i, mutant in enumerate(selected)]


def time_limit(trees: list[Tree], file: str, source: str) -> float:
    """Time limit of a mutant in seconds, from a run of the tests without a mutant, which must pass."""
    start = time.monotonic()
    for tree in trees:
        start = time.monotonic()
        _, status = os.waitpid(tree.start(file, source, 600, compiled=True), 0)
        if status:
            raise SystemExit(
                f"the tests of {file} fail without a mutant:\n{(tree.folder / 'mutation.log').read_text()}"
            )
    return 5 + 4 * (time.monotonic() - start)


def report(results: list[tuple[Mutant, str]]) -> int:
    """Print a table with a row per file, and the survivors without a reason. Returns the exit status."""
    reasons = json.loads(REASONS.read_text(encoding="utf-8"))
    by_file: dict[str, Counter[str]] = {}
    for mutant, result in results:
        explained = result == "survived" and mutant.key in reasons
        by_file.setdefault(mutant.file, Counter())["explained" if explained else result] += 1
    print("| file | mutants | killed | of them by time | survive, with a reason | without |")
    print("|---|---|---|---|---|---|")
    for file, c in [*by_file.items(), ("all", sum(by_file.values(), Counter()))]:
        killed = c["killed"] + c["late"]
        share = f"{killed} ({100 * killed / c.total():.1f} %)"
        print(f"| {file} | {c.total()} | {share} | {c['late']} | {c['explained']} | {c['survived']} |")
    new = [mutant for mutant, result in results if result == "survived" and mutant.key not in reasons]
    for mutant in new:
        print(f"{mutant.file}:{mutant.line}: {mutant.key.partition(' ')[2]}")
    tried = {mutant.key for mutant, _ in results}
    for key in reasons.keys() & {mutant.key for mutant, result in results if result != "survived"} & tried:
        print(f"no longer survives: {key}")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
