"""Promise: nothing leaks from one job of a sweep to another, whether it runs in a fork or in a worker."""

import re

import pytest
from test_sweeps import SWEEP, summaries

# Each activation changes something in its process that the next job must not see. `heeds` depends on all of
# it, so that a leak would change its loss. The backend `threaded` cannot be forked: its jobs run in workers.
PARTS = """
import functools, itertools, os, random, signal, sys, threading
import numpy
from microgpt_lab import hookimpl
from microgpt_lab_plugins.backends.numpy import NumPy

RUNS = 0
SEEN = []
GENERATOR = random.Random(0)
COUNT = itertools.count()

class Threaded(NumPy):
    forks = False

def clean():
    return not any((
        RUNS, SEEN, counted.calls, repr(COUNT) != "count(0)", os.environ.get("LEAK"),
        GENERATOR.getstate() != random.Random(0).getstate(),
        os.path.basename(os.getcwd()) == "elsewhere",
        sys.path[-1] == "leak", threading.active_count() > 1, random.Random(0).random() != zero(),
        signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL,
        numpy.geterr()["over"] == "raise" and RUNS,
    ))

def zero():
    return 0.8444218515250481

def counted():
    counted.calls += 1
counted.calls = 0

@functools.lru_cache
def once():
    return True

def heeds(x):
    return x * (1.0 if clean() else 2.0)

def sets(x):
    os.environ["LEAK"] = "1"
    sys.path.append("leak")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    return x * 1.0

def moves(x):
    os.makedirs("elsewhere", exist_ok=True)
    if os.path.basename(os.getcwd()) != "elsewhere":
        os.chdir("elsewhere")
    return x * 1.0

def threads(x):
    if threading.active_count() == 1:
        threading.Thread(target=threading.Event().wait, name="left").start()
    return x * 1.0

def remembers(x):
    global RUNS
    RUNS += 1
    SEEN.append(1)
    GENERATOR.random()
    next(COUNT)
    counted()
    return x * 1.0

def crashes(x):
    os.kill(os.getpid(), signal.SIGSEGV)

def eats(x):
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    return x * len(bytearray(2**33))

@hookimpl
def backends():
    return [Threaded]

@hookimpl
def activations():
    return [heeds, sets, moves, threads, remembers, crashes, eats]
"""
NAMES = ("sets", "heeds", "moves", "threads", "remembers", "crashes", "eats", "relu")


@pytest.fixture(scope="module")
def sweeps(lab_in, tmp_path_factory):
    """Folder of a sweep whose jobs ran in forks, and of one whose jobs ran in workers, in the other order."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "parts").mkdir()
    (folder / "parts" / "mine.py").write_text(PARTS)
    env = {"MICROGPT_LAB_PLUGINS": str(folder / "parts")}
    for names, backend, jobs in ((NAMES, "numpy", 2), (NAMES[::-1], "threaded", 1)):
        arguments = (f"activation={','.join(names)}", "seed=0", f"backend={backend}", f"jobs={jobs}")
        lab_in(folder, *SWEEP, *arguments, f"hydra.sweep.dir={backend}", env=env, check=1)
    return folder


@pytest.mark.thorough
def test_jobs_do_not_affect_each_other_in_any_order_or_process(sweeps):
    forks, workers = (
        {activation_of(name): summary for name, summary in summaries(sweeps / backend).items()}
        for backend in ("numpy", "threaded")
    )
    statuses = dict.fromkeys(NAMES, "ok") | {"crashes": "killed", "eats": "failed"}
    for found in forks, workers:
        assert {name: job["status"] for name, job in found.items()} == statuses
        assert "SIGSEGV" in found["crashes"]["error"] and "MemoryError" in found["eats"]["error"]
    assert forks["relu"]["samples"] == workers["relu"]["samples"]
    assert forks["relu"]["loss/val"] == workers["relu"]["loss/val"]
    # The other activations are the same function of x, unless something leaks from another job.
    assert len({found[name]["loss/val"] for name in NAMES[:5] for found in (forks, workers)}) == 1


def activation_of(name):
    """Activation of a job, from the name of its folder."""
    return re.search("activation=([a-z]+)", name)[1]


@pytest.mark.thorough
def test_the_log_of_a_job_lists_what_it_left_behind_in_a_worker(sweeps):
    logs = {activation_of(file.parent.name): file.read_text() for file in sweeps.glob("threaded/*/log.txt")}
    assert "left behind" not in logs["relu"]
    left_behind = {
        "sets": ["the environment variable LEAK", "sys.path", "the handler of SIGUSR1"],
        "moves": ["the current folder"],
        "threads": ["the thread left"],
    }
    for name, things in left_behind.items():
        (line,) = [line for line in logs[name].splitlines() if "left behind" in line]
        assert all(thing in line for thing in things), line
