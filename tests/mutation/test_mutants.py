"""The changes that mutation testing makes, and a sample of a mutation test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mutation.mutants import mutants

HERE = Path(__file__).parent

SOURCE = '''"""A docstring."""
import math


def f(x, *, floor: float = 0.5):
    if x < 0 and not floor:
        raise ValueError(f"{x} is {1 + 1}")
    total = round(x[1:]) - max(x, 2)
    total += 1
    return f"{x}={total % 7:.3f}"
'''


def changed(tmp_path, source):
    """Number of each changed line, with the texts that the mutants put in its place."""
    (tmp_path / "module.py").write_text(source)
    found = {}
    for mutant in mutants(tmp_path, "module.py"):
        old, new = source.splitlines(), mutant.source.splitlines()
        (line,) = (i for i, (a, b) in enumerate(zip(old, new, strict=True), start=1) if a != b)
        assert line == mutant.line and mutant.key.startswith("module.py")
        compile(mutant.source, "module.py", "exec")
        found.setdefault(line, []).append(new[line - 1].strip())
    return found


def test_every_operator_condition_number_argument_and_result_is_changed(tmp_path):
    found = changed(tmp_path, SOURCE)
    assert found == {
        5: ["def f(x, *, floor: float = 0.55):"],
        6: [
            "if True:",
            "if False:",
            "if (x < 0 or not floor):",
            "if (not floor):",
            "if (x < 0):",
            "if (x <= 0) and not floor:",
            "if x < 1 and not floor:",
            "if x < 0 and floor:",
        ],
        8: [
            "total = None",
            "total = (round(x[1:]) + max(x, 2))",
            "total = int(x[1:]) - max(x, 2)",
            "total = round(x[:]) - max(x, 2)",
            "total = round(x[2:]) - max(x, 2)",
            "total = round(x[1:]) - min(x, 2)",
            "total = round(x[1:]) - max(x, 3)",
        ],
        9: ["total -= 1", "pass", "total += 2"],
        10: [
            "return None",
            "return f'{x}XX=XX{total % 7:.3f}'",
            "return f'{x}={total / 7:.3f}'",
            "return f'{x}={total % 8:.3f}'",
        ],
    }


def test_arguments_are_swapped_or_left_out(tmp_path):
    source = "f(a, b, key=True)\nx = [y for y in z if y]\nwhile a: break\n"
    found = changed(tmp_path, source)
    assert found == {
        1: ["pass", "f(b, a, key=True)", "f(a, b)", "f(a, b, key=False)"],
        2: ["x = None", "x = [y for y in z if True]", "x = [y for y in z if False]"],
        3: ["while False: break", "while a: continue"],
    }


def test_every_mutant_has_a_unique_key(tmp_path):
    (tmp_path / "module.py").write_text("def f(a):\n    return a + 1 + 1\n")
    keys = [mutant.key for mutant in mutants(tmp_path, "module.py")]
    assert "module.py f: 1 → 2" in keys and "module.py f: 1 → 2 (2)" in keys
    assert len(keys) == len(set(keys))


def test_every_reason_belongs_to_an_existing_mutant():
    reasons = json.loads(Path(__file__).with_name("survivors.json").read_text(encoding="utf-8"))
    root, files = Path(__file__).parents[2], {key.partition(" ")[0] for key in reasons}
    assert set(reasons) <= {mutant.key for file in files for mutant in mutants(root, file)}


@pytest.mark.slow
def test_the_tests_kill_a_sample_of_the_mutants():
    """`python tests/mutation` tests all mutants."""
    command = [sys.executable, str(HERE), "--sample", "100", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
