"""Compiled C is kept for later processes, and neither a killed process nor another user can spoil it."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microgpt_lab import UserError
from microgpt_lab.registry import plugins
from microgpt_lab.tensors import compiled

SOURCE = """
#include <math.h>
#include <pthread.h>
static void *doubled(void *x) { *(double *)x *= 2; return 0; }
double twice(double x) {
  pthread_t thread;
  x = sqrt(x);
  pthread_create(&thread, 0, doubled, &x);
  pthread_join(thread, 0);
  return x;
}
"""


def twice(source=SOURCE, x=9.0):
    """Result of a compiled function, which should be 6."""
    import ctypes

    function = build().load(source).twice
    function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double
    return function(x)


def build():
    """Module of the backend that compiles."""
    plugins.registry()
    return importlib.import_module("microgpt_lab_plugins.backends.c.build")


@pytest.fixture
def cc(tmp_path, monkeypatch):
    """File with a line for each library that $CC, a compiler, has been called for."""
    real = build().compiler()
    if real is None:
        pytest.skip("needs a C compiler")
    log, script = tmp_path / "calls", tmp_path / "cc"
    call = f"echo called >> {log}"
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] || {call}\nexec {" ".join(real)} "$@"\n')
    script.chmod(0o700)
    log.write_text("")
    monkeypatch.setenv("CC", str(script))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return log


@pytest.fixture
def folder(cc, tmp_path, monkeypatch):
    """Folder of the cache, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches" / "microgpt_lab" / "c"


def compilations(cc):
    return len(cc.read_text().splitlines())


def test_a_library_is_compiled_once_and_only_its_user_may_write_to_it(folder, cc):
    assert twice() == twice() == 6 and compilations(cc) == 1
    assert folder.stat().st_mode & 0o777 == 0o700
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and file.stat().st_size < 20_000
    assert twice(SOURCE.replace("2", "3")) == 9 and compilations(cc) == 2
    assert not list(cc.parent.glob("microgpt_lab_*"))  # no temporary folder is left


def test_a_library_is_compiled_anew_for_other_flags_compilers_and_machines(folder, cc, monkeypatch):
    twice()
    monkeypatch.setattr(build(), "FLAGS", (*build().FLAGS, "-g"))
    assert twice() == 6 and compilations(cc) == 2
    monkeypatch.setattr(build(), "version", lambda *command: "13")
    assert twice() == 6 and compilations(cc) == 3
    monkeypatch.setattr(compiled, "cpu", lambda: ["another", "avx2", "fma"])
    assert twice() == 6 and compilations(cc) == 4


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_c_build import twice
print(twice())
"""


def start_process(mount="", **more):
    command = [sys.executable, "-P", "-c", SCRIPT, Path(__file__).parent]
    if mount:
        command = ["unshare", "-rm", "bash", "-c", f'{mount} exec "$@"', "bash", *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def test_two_processes_at_once_and_a_killed_one_leave_a_whole_library(folder, cc):
    """The compilers of all three wait for each other. One process is killed while its compiler runs."""
    script = cc.with_name("cc")
    wait = f"[ $1 = --version ] || while [ ! -e {cc.with_name('go')} ]; do sleep 0.02; done"
    script.write_text(script.read_text().replace("exec", f"{wait}\nexec"))
    processes = [start_process(start_new_session=True) for _ in range(3)]
    while compilations(cc) < 3:
        time.sleep(0.02)
    os.killpg(processes[0].pid, signal.SIGKILL)
    processes[0].wait()
    assert not folder.exists()
    cc.with_name("go").touch()
    assert [process.communicate() for process in processes] == [("", ""), ("6.0\n", ""), ("6.0\n", "")]
    assert len(list(folder.iterdir())) == 1
    assert twice() == 6 and compilations(cc) == 3


def test_damaged_libraries_are_compiled_again(folder, cc):
    twice()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]):
        file.write_bytes(damaged)
        cc.write_text("")
        assert twice() == 6 and compilations(cc) == 1
    os.utime(file, (0, 0))
    assert twice() == 6 and compilations(cc) == 1
    assert file.stat().st_mtime > 0  # its time of use is updated


def test_libraries_that_other_users_may_have_written_are_not_run(folder, cc):
    twice()
    (file,) = folder.iterdir()
    for path, mode in ((folder, 0o777), (file, 0o666)):
        before = path.stat().st_mode
        path.chmod(mode)
        cc.write_text("")
        assert twice() == 6 and compilations(cc) == 1
        path.chmod(before)
    if os.getuid() == 0:
        for path in (folder, file):
            os.chown(path, 65534, -1)
            cc.write_text("")
            assert twice() == 6 and compilations(cc) == 1
            os.chown(path, 0, -1)


def test_an_unusable_cache_folder_is_not_an_error(folder, cc, capfd):
    folder.parents[1].write_text("no folder")
    assert twice() == twice() == 6 and compilations(cc) == 2
    assert capfd.readouterr() == ("", "")


def test_a_temporary_folder_that_cannot_be_used_is_one_clear_error(folder, cc, tmp_path):
    mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", tmp_path]
    if not shutil.which("unshare") or subprocess.run(mount).returncode:
        pytest.skip("needs mounts as an ordinary user")
    (tmp_path / "disk").mkdir()
    for options, error in (("size=16k", "No space left on device"), ("noexec", "does not permit running")):
        process = start_process(f"mount -t tmpfs -o {options} tmpfs disk; TMPDIR=$PWD/disk", cwd=tmp_path)
        assert error in process.communicate()[1].splitlines()[-1]
    assert len(list(folder.iterdir())) == 1  # the whole library of the second


def test_the_least_recently_used_program_is_removed_first(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "LIMIT", 3500)
    for i in range(4):
        compiled.save(tmp_path / str(i), os.urandom(1000))
        if i < 3:
            os.utime(tmp_path / str(i), (3 - i, 3 - i))  # the first was used last
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1", "3"}


def test_without_a_compiler_one_line_says_what_to_install(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "ziglang", None)
    assert build().compiler() is None
    with pytest.raises(
        UserError, match=r"^backend=c needs a C compiler: install gcc or clang, or pip install .*c]'$"
    ):
        twice()


@pytest.mark.parametrize("wrong", ["gccc", "/bin/false", "/etc/passwd", "/tmp", "'"])
def test_a_cc_that_does_not_run_is_a_one_line_error(monkeypatch, wrong):
    monkeypatch.setenv("CC", wrong)
    with pytest.raises(
        UserError, match=f"^CC={wrong} is not a C compiler that runs here: correct it, or unset CC$"
    ):
        build().compiler()


@pytest.mark.parametrize("wrong", [sys.executable, "/bin/true"])
def test_a_cc_that_compiles_nothing_is_a_one_line_error(cc, monkeypatch, wrong):
    monkeypatch.setenv("CC", wrong)
    with pytest.raises(
        UserError, match=f"^{re.escape(wrong)} cannot compile C: .*; set CC to another compiler$"
    ):
        twice()


def test_an_error_in_our_c_is_shown_with_the_compilers_message(folder, cc):
    with pytest.raises(RuntimeError, match=r"microgpt.c:1:\d+: error"):
        twice("double twice(double x) { return y; }")
    assert not folder.exists()


@pytest.mark.slow
def test_the_compiler_of_the_extra_c_does_the_same(folder, monkeypatch):
    pytest.importorskip("ziglang")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    assert build().compiler()[1:] == ["-P", "-m", "ziglang", "cc"]
    assert twice() == twice() == 6 and len(list(folder.iterdir())) == 1
