import atexit
import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from arguments import keep_last

from microgpt_lab.sweeps.pool import PLATFORM_FORKS

# Programs that JAX compiles in tests run only for a moment, and optimising them would take longer.
# Subprocesses inherit this setting.
if "--benchmark-only" not in sys.argv:
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# The tests do not depend on the plugins and settings of the user: this process and all its subprocesses
# have an empty lab folder.
for name in [n for n in os.environ if n.startswith("MICROGPT_LAB_") and n != "MICROGPT_LAB_TEST_DATA"]:
    del os.environ[name]
# Commands that tests start keep the bytecode of what they import: a third of a second each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["MICROGPT_LAB_HOME"] = tempfile.mkdtemp(prefix="microgpt_lab_home_")
atexit.register(shutil.rmtree, os.environ["MICROGPT_LAB_HOME"], ignore_errors=True)


def pytest_configure(config):
    """Keep the caches of the lab in pytest's own cache (see --cache-clear), not in the user's."""
    if hasattr(config, "cache"):
        os.environ["XDG_CACHE_HOME"] = str(config.cache.mkdir("home"))


def pytest_collection_finish():
    """Spare the garbage collector the modules and tests, which all live until the end."""
    gc.freeze()


ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("MICROGPT_LAB_TEST_DATA") or ROOT.parent / "shared" / "data")


# CPU seconds for the whole suite, on a machine that imports Hydra and NumPy in 0.26 CPU seconds. Before you
# raise it, look for tests that could be cheaper.
BUDGET = 600


def pytest_terminal_summary(terminalreporter, config):
    """Print the CPU seconds of the tests, which do not depend on other work of the machine."""
    if hasattr(config, "workerinput") or sys.platform == "win32":
        return
    import resource

    used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    whole = not config.invocation_params.args
    over = " WARNING: above the budget" if whole and used > BUDGET else ""
    terminalreporter.write_line(f"CPU: {used:.0f} s{f' of {BUDGET}' if whole else ''}{over}")


@pytest.fixture
def karpathy_names():
    """Path of the file that microgpt.py trains on. The project does not contain it."""
    path = SHARED / "karpathy_names.txt"
    if not path.is_file():
        pytest.skip("needs karpathy_names.txt in the folder that MICROGPT_LAB_TEST_DATA names")
    return path


@pytest.fixture
def torch():
    """PyTorch, in float64."""
    torch = pytest.importorskip("torch", reason="needs microgpt-lab[torch]")
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def zygote():
    """Start a process from which commands are forked, so that no command imports everything again.

    None where a process cannot be forked.
    """
    if not PLATFORM_FORKS:
        yield None
        return
    command = [sys.executable, "-P", Path(__file__).with_name("zygote.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.stdin.close()
    process.stdout.close()
    process.wait()


@pytest.fixture(scope="session")
def lab_in(tmp_path_factory, zygote):
    """Run the command line as a user would, in a folder, and return the finished process.

    The command runs in a fork of a process that has loaded the lab. With `command`, that command runs in
    a new process. Of arguments with the same key, only the last is passed, unless `exactly` is true.
    """
    output = tmp_path_factory.mktemp("output")

    def run(folder, *arguments, cwd=None, env=None, check=None, command=None, exactly=False):
        cwd = cwd or folder
        arguments = arguments if exactly else keep_last(arguments)
        clean = {
            k: v for k, v in os.environ.items() if not k.startswith(("MICROGPT_LAB", "HYDRA", "COLUMNS"))
        }
        env = clean | {"MICROGPT_LAB_HOME": str(folder / "home")} | (env or {})
        if not zygote:
            command = command or [sys.executable, "-P", "-m", "microgpt_lab"]
        if command:
            done = subprocess.run(
                [*command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
            )
        else:
            done = run_forked(arguments, cwd, env)
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    def run_forked(arguments, cwd, env):
        files = {name: str(output / name) for name in ("stdout", "stderr")}
        job = {"arguments": arguments, "cwd": str(cwd), "env": env, "timeout": 120}
        own = "MICROGPT_LAB_PLUGINS" in env or Path(env["MICROGPT_LAB_HOME"], "plugins").exists()
        job["own_plugins"] = own
        zygote.stdin.write(json.dumps(job | files) + "\n")
        zygote.stdin.flush()
        status = json.loads(zygote.stdout.readline())
        if status is None:
            raise subprocess.TimeoutExpired(arguments, 120)
        texts = (Path(files[name]).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, status, *texts)

    return run


@pytest.fixture
def lab(lab_in, tmp_path):
    """Run the command line in the folder of the test."""
    return functools.partial(lab_in, tmp_path)
