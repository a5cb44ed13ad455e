"""Run a command to its end as `run`; then again and again, killed at random moments and resumed, until
there were so many kills: `python killing.py KILLS key=value …`. Or run it as `1`, `2` …, killed before its
first rename of a file, before its second …, until one ends: `python killing.py renames key=value …`.
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
from microgpt_lab.sweeps.warm import preload


def command(*arguments):
    nothing = io.StringIO()
    with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        os._exit(main(list(arguments)))


def killed(arguments, run=None, seconds=60.0):
    """The exit status of the command in a fork, that need not load everything again.

    Killed so many seconds after its beginning, or after it has written a checkpoint of this run.
    """
    process = multiprocessing.get_context("fork").Process(target=command, args=arguments)
    before = written(run)
    process.start()
    while run and process.is_alive() and written(run) == before:
        time.sleep(0.0005)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def written(run):
    with contextlib.suppress(OSError):  # there is none for a moment, between two renames
        return Path(run or "", "checkpoint.bin").stat().st_mtime_ns
    return 0


def kill_again_and_again(wanted, arguments):
    begun = time.monotonic()
    assert killed((*arguments, "hydra.run.dir=run")) == 0
    took = time.monotonic() - begun
    rng, kills = random.Random(wanted), 0
    while kills < wanted:
        run = f"run{kills}"
        status = killed((*arguments, f"hydra.run.dir={run}"), run, rng.uniform(0, 0.1) * took)
        while status == -signal.SIGKILL:
            kills += 1
            if kills % 4 == 0:  # at any moment, before training and after it too
                status = killed(("resume", run), None, rng.uniform(0.1, 0.8) * took)
            else:
                status = killed(("resume", run), run, rng.uniform(0, 0.1) * took)
        assert status == 0, (run, status)


def kill_before_each_rename(arguments):
    config = compose(arguments)
    load_documents(config)
    for number in itertools.count(1):
        run = Run(config, Path(str(number)), arguments)
        process = multiprocessing.get_context("fork").Process(target=dying, args=(number, run))
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode == 0
            break


def dying(number, run):
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
    preload()
    part("backend", "numpy")
    if sys.argv[1] == "renames":
        kill_before_each_rename(sys.argv[2:])
    else:
        kill_again_and_again(int(sys.argv[1]), sys.argv[2:])
