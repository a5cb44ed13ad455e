"""`tests_of` makes pytest's tests of a package's parts, isolated from whatever else is installed."""

import os
import re
import subprocess
import sys
import types

import broken_kinds
from test_check import PLUGIN

from microgpt_lab.checks.options import installed
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import only, registry


def test_a_part_is_tried_among_the_labs_own_and_those_of_its_module():
    foreign = Part("activation", "foreign", abs, "tests")
    with installed(foreign):
        with only(broken_kinds):
            names = registry().names("activation")
            assert "foreign" not in names and {"gelu", "root"} <= set(names)
        assert "foreign" in registry().names("activation")
    assert "root" not in registry().names("activation")
    taken = types.ModuleType("taken")
    exec(PLUGIN.replace("twice", "gelu"), vars(taken))
    with only(taken):
        assert registry().get("activation", "gelu").first_party


def test_three_lines_make_a_test_of_each_part_and_check(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN.replace('"""x · by."""', ""))
    lines = "from microgpt_lab.testing import tests_of\nimport mine\n\ntest_parts = tests_of(mine)\n"
    (tmp_path / "test_mine.py").write_text(lines)
    bad = tmp_path / "plugins" / "bad.py"
    bad.parent.mkdir()
    bad.write_text("raise SystemExit('loaded')")  # another plugin, which is not even imported
    env = os.environ | {"MICROGPT_LAB_PLUGINS": str(bad.parent), "PYTHONPATH": os.pathsep.join(sys.path)}
    env |= {"COLUMNS": "200"}
    arguments = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "docstring or causal or tests_of",
        "-rA",
        "--rootdir",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "pytest", *arguments, "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "PASSED test_mine.py::test_parts[activation=twice: causal]" in done.stdout
    failed = (
        "FAILED test_mine.py::test_parts[activation=twice: docstring] - Failed: activation=twice: it has no"
    )
    assert failed in done.stdout and re.search(r"1 failed, 1 passed, \d+ deselected in", done.stdout)
    assert "Traceback" not in done.stdout and "loaded" not in done.stdout + done.stderr


def test_the_helpers_do_not_need_pytest():
    code = "import sys, microgpt_lab.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
