"""Later processes reuse compiled programs of jax, and no result depends on the cache or on earlier runs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from microgpt_lab import part
from microgpt_lab.tensors import compiled
from microgpt_lab.testing import losses, small_trainer

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.thorough
COMPILED = "/jax/core/compile/backend_compile_duration"


def results(trainer):
    """Losses, weights, and evaluations with batches of several sizes."""
    found = losses(trainer)
    weights = {name: matrix.tolist() for name, matrix in trainer.weights.items()}
    return found, weights, trainer.evaluate(["d"]), trainer.evaluate(["anna", "bo", "florence"] * 30)


def small_jax_trainer(seed=42, block_size=2, **chosen):
    """Trainer with a block size that is compiled for one length; two lengths would take twice as long."""
    backend = part("backend", "jax")
    return small_trainer(backend, 12, batch_size=3, seed=seed, block_size=block_size, **chosen)


def cache_module():
    """Module of the cache that the backend has imported."""
    return sys.modules[type(small_jax_trainer().train_scan).__module__.replace(".scan", ".cache")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of the cache, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches" / "microgpt_lab" / "jax"


@pytest.fixture
def compilations():
    """List that gets an entry for each compilation of this process."""
    found = []

    def listen(event, seconds, **_):
        if event == COMPILED:
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_cached_program_is_not_compiled_again_and_gives_the_same_bits(folder, compilations):
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        expected = results(small_jax_trainer())
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert not folder.exists() and len(compilations) == 2  # steps, evaluations
    assert results(small_jax_trainer()) == expected and len(compilations) == 4
    assert results(small_jax_trainer()) == expected and len(compilations) == 4
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600] * 2


SCRIPT = """
import json, resource, signal, sys
import jax
sys.path.insert(0, sys.argv[1])
from test_jax_cache import COMPILED, results, small_jax_trainer
if sys.argv[2:]:  # a file that grows beyond this kills whoever writes it
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
compiled = []
jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
found = results(small_jax_trainer())
print(json.dumps([compiled.count(COMPILED), found]))
"""


def start_process(*arguments, **env):
    command = [sys.executable, "-P", "-c", SCRIPT, Path(__file__).parent, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | env, **pipes)


def finish(process):
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (0, "")
    return json.loads(stdout)


@pytest.mark.slow
def test_processes_share_the_cache_unless_the_user_has_a_jax_cache(folder):
    mine = folder.parent / "mine"
    theirs = start_process(
        JAX_COMPILATION_CACHE_DIR=str(mine), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0"
    )
    times, expected = finish(theirs)
    assert times == 2 and len(list(mine.glob("*-cache"))) >= 2 and not folder.exists()
    assert json.loads(json.dumps(results(small_jax_trainer()))) == expected
    assert finish(start_process()) == [0, expected]


@pytest.mark.slow
def test_a_kill_while_writing_leaves_no_half_program(folder, compilations):
    """A half-written program is never used. The next run writes a whole one.

    Files are written by what test_c_build.py kills, too.
    """
    process = start_process("killed")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGXFSZ
    assert [(file.stat().st_size, file.name[:3]) for file in folder.iterdir()] == [(10_000, "tmp")]
    expected = results(small_jax_trainer())
    assert len(compilations) == 2
    assert results(small_jax_trainer()) == expected
    assert len(compilations) == 2


def evaluation(**chosen):
    """Evaluate a model, which compiles in a third of the time that training takes."""
    return small_jax_trainer(**chosen).evaluate(["anna"])


def test_damaged_programs_are_compiled_again(folder, compilations):
    expected = evaluation()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:5000] + b"?" + whole[5001:]):
        file.write_bytes(damaged)
        compilations.clear()
        assert evaluation() == expected and len(compilations) == 1
    os.utime(file, (0, 0))
    assert evaluation() == expected and len(compilations) == 1
    assert file.stat().st_mtime > 0  # its time of use is updated


def test_an_unusable_folder_is_not_an_error(folder, compilations, capfd):
    folder.parents[1].write_text("no folder")
    evaluation(), evaluation()
    assert len(compilations) == 2
    assert capfd.readouterr() == ("", "")


def test_programs_that_other_users_can_change_are_not_run(folder, compilations):
    evaluation()
    folder.chmod(0o777)
    evaluation()
    assert len(compilations) == 2


def test_programs_that_call_back_into_this_process_are_not_cached(folder):
    def calls(x):
        jax.debug.callback(lambda: None)
        return x * x

    evaluation(activation=calls)
    assert not folder.exists()


def test_the_name_of_a_program_depends_on_the_settings_of_the_machine(monkeypatch):
    def name(text):
        return compiled.file("jax", text, *cache_module().settings())

    found = {name("a"), name("b")}
    for variable, value in (("NPROC", "3"), ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")):
        monkeypatch.setenv(variable, value)
        found.add(name("a"))
    monkeypatch.setattr(compiled, "cpu", lambda: ["another"])
    assert len(found | {name("a")}) == 5 and name("a") == name("a")


@pytest.mark.slow
def test_a_result_does_not_depend_on_earlier_runs(folder):
    """This holds for runs that share compiled functions, in any order and after documents of any length."""

    def make(seed, shared=None):
        trainer = small_jax_trainer(seed, 12)  # "caroline" needs 9
        if shared:
            trainer.train_scan, trainer.loss_scan, trainer.gradient_scan = (
                shared.train_scan,
                shared.loss_scan,
                shared.gradient_scan,
            )
        return trainer

    alone = {seed: results(make(seed)) for seed in (1, 2)}
    for order in ((1, 2), (2, 1)):
        first = make(3)
        first.evaluate(["bo"]), first.evaluate(["carolinecar"])
        assert {seed: results(make(seed, shared=first)) for seed in order} == alone
