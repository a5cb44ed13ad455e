"""Run commands like `python -m microgpt_lab`, each in a fork of a process that has imported everything.

Each line of stdin is a job: arguments, folder, environment, files for the output, and whether the environment
names plugins of its own. The answer is the exit status. As in the process of a sweep, what runs share is
computed once: the first-party plugins, the default data set and the description of the environment. What a
report imports, which takes longer than the report, is imported before the first command that compares runs.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import signal
import sys
import time

import microgpt_lab.commands.train  # noqa: F401  nearly every command imports it
from microgpt_lab.commands import main
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import find
from microgpt_lab.sweeps.prepare import import_packages, prepare_shared

OF_REPORT = ("analysis", "export", "figures.style", "pages", "powerlaw")
OF_REPORT = ("pandas", "jinja2", "matplotlib.pyplot", *(f"microgpt_lab.report.{name}" for name in OF_REPORT))


@functools.cache
def import_for_report():
    with contextlib.suppress(ModuleNotFoundError):  # the report says which extra is missing
        for name in OF_REPORT:
            importlib.import_module(name)
    gc.freeze()


def run_in_child(job):
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    if job["own_plugins"]:
        find.cache_clear()
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    status = 1
    try:
        status = main(job["arguments"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)


def wait(pid, seconds):
    """Wait for the exit status, as subprocess returns it; None if the process took longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


if __name__ == "__main__":
    import_packages()
    prepare_shared(compose([]))
    gc.freeze()  # so that no collection copies the pages that a command shares with this process
    for line in sys.stdin:
        job = json.loads(line)
        if any(word.startswith(("report", "tune", "until=")) for word in job["arguments"]):
            import_for_report()
        pid = os.fork()
        if not pid:
            run_in_child(job)
        status = wait(pid, job["timeout"])
        sys.stdout.write(f"{json.dumps(status)}\n")
        sys.stdout.flush()
