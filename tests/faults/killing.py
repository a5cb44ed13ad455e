"""Run a command to its end as `run`; then again and again, killed at random moments and resumed, until
there were so many kills: `python killing.py KILLS key=value …`.
"""

import contextlib
import io
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

from microgpt_lab.commands import main
from microgpt_lab.job import preload


def command(*arguments):
    nothing = io.StringIO()
    with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        os._exit(main(list(arguments)))


def killed_after(seconds, *arguments):
    """The exit status of the command in a fork, that need not load everything again."""
    process = multiprocessing.get_context("fork").Process(target=command, args=arguments)
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def kill_again_and_again(wanted, arguments):
    begun = time.monotonic()
    assert killed_after(60, *arguments, "hydra.run.dir=run") == 0
    took = time.monotonic() - begun
    rng, kills = random.Random(wanted), 0
    while kills < wanted:
        run = f"run{kills}"
        status = killed_after(rng.uniform(0.5, 1) * took, *arguments, f"hydra.run.dir={run}")
        while status == -signal.SIGKILL:
            kills += 1
            if not (Path(run) / "overrides.yaml").exists():
                break  # killed before it was a run
            status = killed_after(rng.uniform(0.2, 1.2) * took, "resume", run)
        else:
            assert status == 0, (run, status)


if __name__ == "__main__":
    preload()
    kill_again_and_again(int(sys.argv[1]), sys.argv[2:])
