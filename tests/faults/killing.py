"""Run a command that is killed, and resume it.

`python killing.py KILLS key=value …` runs the command to its end in the folder `run`. Then it runs the
command in other folders, kills it at random moments and resumes it, until this number of kills is reached.
`python killing.py renames key=value …` runs the command in the folders `1`, `2` …, and kills it before its
first rename of a file, before its second …, until one run finishes.
"""

import contextlib
import io
import itertools
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

from microgpt_lab.commands import main
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import part
from microgpt_lab.run.assemble import load_documents
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.prepare import import_packages


def quiet_command(*arguments):
    nothing = io.StringIO()
    with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        os._exit(main(list(arguments)))


def run_killed(arguments, run=None, seconds=60.0):
    """Run a command in a fork, which need not load everything again, and return its exit status.

    The process is killed this many seconds after its start, or after it has written a checkpoint of `run`.
    """
    process = multiprocessing.get_context("fork").Process(target=quiet_command, args=arguments)
    before = checkpoint_time(run)
    process.start()
    while run and process.is_alive() and checkpoint_time(run) == before:
        time.sleep(0.0005)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def checkpoint_time(run):
    with contextlib.suppress(OSError):  # it is missing for a moment between two renames
        return Path(run or "", "checkpoint.bin").stat().st_mtime_ns
    return 0


def kill_again_and_again(wanted, arguments):
    start = time.monotonic()
    assert run_killed((*arguments, "hydra.run.dir=run")) == 0
    duration = time.monotonic() - start
    rng, kills = random.Random(wanted), 0
    while kills < wanted:
        run = f"run{kills}"
        status = run_killed((*arguments, f"hydra.run.dir={run}"), run, rng.uniform(0, 0.1) * duration)
        while status == -signal.SIGKILL:
            kills += 1
            if kills % 4 == 0:  # at any moment, also before and after training
                status = run_killed(("resume", run), None, rng.uniform(0.1, 0.8) * duration)
            else:
                status = run_killed(("resume", run), run, rng.uniform(0, 0.1) * duration)
        assert status == 0, (run, status)


def kill_before_each_rename(arguments):
    config = compose(arguments)
    load_documents(config)
    for number in itertools.count(1):
        run = Run(config, Path(str(number)), arguments)
        process = multiprocessing.get_context("fork").Process(target=run_killed_at_rename, args=(number, run))
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode == 0
            break


def run_killed_at_rename(number, run):
    count, replace = 0, Path.replace

    def counted(self, target):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = counted
    execute(run)


if __name__ == "__main__":
    import_packages()
    part("backend", "numpy")
    if sys.argv[1] == "renames":
        kill_before_each_rename(sys.argv[2:])
    else:
        kill_again_and_again(int(sys.argv[1]), sys.argv[2:])
