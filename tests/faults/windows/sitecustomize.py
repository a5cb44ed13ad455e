# ruff: noqa: PTH100, PTH110, PTH112, PTH115, PTH208  (pathlib would call `check` again)
"""Make Python on Linux behave like Python on Windows, where the lab could notice it.

No fork, no POSIX signals, no `resource`, no /proc. File names without < > : " | ? *, and none that differ in
case only. No file is renamed, replaced or removed while this process has it open, no folder is opened, and
only what is open for writing can be flushed.
"""

import fcntl
import os
import re
import shutil
import signal
import sys

for module, names in {
    os: "fork forkpty sysconf sched_getaffinity killpg setsid wait3 wait4 mkfifo chown",
    signal: "pthread_sigmask pthread_kill alarm setitimer sigwait SIGUSR1 SIGUSR2 SIGALRM SIGHUP",
}.items():
    for name in names.split():
        delattr(module, name)
for name in ("resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None  # importing it is an ImportError

FORBIDDEN = re.compile(r'[<>:"|?*]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
CHANGES = {"os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,)}
looking = False


def is_open(path):
    """Whether this process has opened the file, or one below the folder."""
    path = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if name == path or name.startswith(f"{path}/"):
            return True
    return False


def check(event, arguments):
    global looking
    if looking or event not in ("open", "os.mkdir", *CHANGES):
        return
    looking = True
    try:
        for path in (arguments[i] for i in CHANGES.get(event, (0,))):
            if not isinstance(path, str | bytes | os.PathLike):
                continue
            path = os.path.abspath(os.fsdecode(path))
            if path.startswith(("/proc/", "/sys/fs/")) and path != "/proc/self/maps":
                raise FileNotFoundError(2, "no such file on Windows", path)
            if path.startswith("/dev/"):
                continue
            folder, name = os.path.split(path)
            if FORBIDDEN.search(name):
                raise OSError(22, "not a file name on Windows", path)
            if event == "open" and os.path.isdir(path):
                raise PermissionError(13, "a folder cannot be opened on Windows", path)
            its_lock = name.endswith(".lock") or name.startswith(".filelock")  # removed otherwise there
            if event in CHANGES and not its_lock and os.path.exists(path) and is_open(path):
                raise PermissionError(13, "open in this process", path)
            others = os.listdir(folder) if os.path.isdir(folder) else ()
            if any(other != name and other.casefold() == name.casefold() for other in others):
                raise OSError(22, "differs from another name in case only", path)
    finally:
        looking = False


def fsync(descriptor, fsync=os.fsync):
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(9, "only what is open for writing can be flushed on Windows")
    fsync(descriptor)


os.fsync = fsync
shutil._use_fd_functions = False
sys.addaudithook(check)
