"""Find a run by a part of its name, and remove runs."""

import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from run_folders import DAY, dated, listed, made

from microgpt_lab.commands import main
from microgpt_lab.errors import UserError
from microgpt_lab.listing import find
from microgpt_lab.listing.prune import remove
from microgpt_lab.listing.rows import rows
from microgpt_lab.run.record import locked

ROOT = Path(__file__).parents[2]


# Remove runs


def files(folder):
    return {str(path.relative_to(folder)): path.lstat().st_size for path in sorted(folder.rglob("*"))}


def test_prune_shows_what_it_would_remove_and_removes_only_that(lab, home):
    before = files(home)
    shown = lab("runs", "prune", "--status", "diverged,ok", "--older", "3h", check=0).stdout
    assert files(home) == before
    heading, *rows, total, sweep = shown.splitlines()
    assert heading.split() == ["status", "age", "size", "run"]
    names = ["runs/swept/seed=2", "runs/swept/seed=1", "runs/first"]
    assert [row.split()[-1] for row in rows] == names
    size = sum(file.stat().st_size for name in names for file in (home / name).iterdir())
    assert total == f"would remove 3 runs, {size / 1000:.1f} kB: add --yes to remove them"
    assert sweep == "2 of them are jobs of runs/swept: repeating this sweep runs them again"
    done = lab("runs", "prune", "--status", "diverged,ok", "--older", "3h", "--yes", check=0).stdout
    assert done.splitlines()[0] == f"removed 3 runs, {size / 1000:.1f} kB"
    assert listed(lab) == ["killed", "hot"]
    assert not [path for path in (home / "runs" / "swept" / ".jobs").iterdir() if not path.suffix]
    other_files = {name for name in before if not name.startswith(("runs/first", "runs/swept"))}
    assert other_files <= files(home).keys()
    assert lab("runs", "prune", "--older", "9d", check=0).stdout == "nothing to remove\n"


@pytest.mark.thorough
def test_a_sweep_runs_a_removed_job_again(lab, tmp_path):
    sweep = ("-m", "seed=1,2", "steps=0", "samples=0", "eval_docs=1", "backend=numpy", "callback=[jsonl]")
    sweep += ("hydra.sweep.dir=runs/swept",)
    lab(*sweep, check=0)
    (one, other) = sorted((tmp_path / "runs" / "swept").glob("*seed=*"))
    os.utime(one / "config.yaml", (1000, 1000))
    lab("runs", "prune", "--older", "1d", "--yes", check=0)
    assert not one.exists() and other.exists()
    assert "already finished" in lab(*sweep, check=0).stdout
    assert json.loads((one / "summary.json").read_text())["status"] == "ok"


def test_a_running_run_is_kept(lab, home):
    killed = home / "runs" / "killed"
    with locked(killed):
        before = files(home)
        for sure in ((), ("--yes",)):
            done = lab("runs", "prune", "--status", "unfinished", *sure, check=0)
            assert done.stderr == "kept runs/killed: is running in another process\n"
            assert done.stdout == "nothing to remove\n" and files(home) == before
    lab("runs", "prune", "--status", "unfinished", "--yes", check=0)
    assert not killed.exists()


def test_a_finished_run_that_is_running_again_is_kept(lab, home):
    with locked(home / "runs" / "hot"):
        done = lab("runs", "prune", "--status", "diverged", "--yes", check=1)
    assert done.stderr == "kept runs/hot: is running in another process\n"
    assert done.stdout == "removed 0 runs, 0 bytes\n" and (home / "runs" / "hot" / "summary.json").exists()


def test_a_run_that_was_resumed_after_it_was_listed_is_kept(inside_home, capsys):
    (row,) = rows(Path("runs/hot"))
    dated(row.folder, age=1)
    assert not remove(row) and row.folder.exists()
    assert capsys.readouterr().err == "kept runs/hot: it was resumed after it was listed\n"


def test_prune_follows_no_link_and_removes_no_subfolder(lab, home, config):
    """Targets of links, runs that contain folders and the searched folder are kept."""
    runs, mine = home / "runs", home / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    (runs / "first" / "samples.txt").symlink_to(mine / "thesis.txt")
    (runs / "first" / "link").symlink_to(mine, target_is_directory=True)
    (runs / "elsewhere").symlink_to(made(home / "elsewhere", config, status="ok"))
    (runs / "hot" / "plots").mkdir()
    made(runs, config, age=9 * DAY, status="ok")
    done = lab("runs", "prune", "--older", "1h", "--yes", check=0)
    assert sorted(done.stderr.splitlines()) == [
        "kept runs/hot: it contains the folder plots, which no run creates",
        "kept runs: it contains the folder first, which no run creates",
    ]
    assert (mine / "thesis.txt").read_text() == "years" and (home / "elsewhere" / "summary.json").exists()
    assert listed(lab) == ["killed", "hot", "."]
    lone = made(home / "lone", config, status="ok")
    assert (
        "it is the folder that is searched" in lab("runs", "prune", "lone", "--older", "0s", check=0).stderr
    )
    assert (
        "or the current folder"
        in lab("runs", "prune", "..", "--older", "0s", "--yes", cwd=lone, check=0).stderr
    )
    assert lone.exists()


def test_a_lock_that_is_not_a_regular_file_is_not_opened(lab, home):
    hot = home / "runs" / "hot"
    os.mkfifo(hot / ".lock")
    done = lab("runs", "prune", "--status", "diverged", "--yes", check=0)
    assert done.stderr == "kept runs/hot: its .lock is not a regular file\n" and hot.exists()


def test_a_failed_removal_is_one_line_and_other_runs_are_still_removed(home):
    """A file that is a mount point cannot be removed."""
    busy = home / "runs" / "first" / "summary.json"
    prune = f"{sys.executable} -P -m microgpt_lab runs prune --status ok --yes"
    script = f"mount --bind {busy} {busy} || exit 99\n{prune}"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            ["unshare", "-rm", "bash", "-c", script], cwd=home, env=env, capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if done.returncode == 99 or "unshare:" in done.stderr:
        pytest.skip("needs mounts of its own")
    assert done.returncode == 1
    assert done.stderr == "cannot remove runs/first: Device or resource busy\n"
    assert done.stdout.startswith("removed 2 runs")
    assert (busy.parent / "config.yaml").exists()  # so that the folder still counts as a run
    assert not list((home / "runs" / "swept").glob("seed=*"))


@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0 or sys.platform == "win32", reason="needs root")
@pytest.mark.filterwarnings("ignore:os.fork")  # another test of this process may have loaded JAX
def test_runs_without_write_permission_are_left_intact(home, capfd):
    open_to_all = Path("/tmp", f"runs-{os.getpid()}")
    shutil.copytree(home / "runs", open_to_all)
    prune = ["runs", "prune", str(open_to_all), "--older", "0s"]
    try:
        before = files(open_to_all)
        main(prune)  # imports now what another user may not be able to import
        assert "would remove 5 runs" in capfd.readouterr().out
        pid = os.fork()
        if not pid:
            status = 99
            try:
                os.setuid(65534)
                status = main([*prune, "--yes"])
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, capfd.readouterr().err
        assert files(open_to_all) == before
        assert capfd.readouterr().err.count("no permission to write there") == 5
    finally:
        shutil.rmtree(open_to_all)


# Find a run


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("first", "runs/first"), ("rst", "runs/first"), ("kill", "runs/killed"),
        ("seed=2", "runs/swept/seed=2"),
        ("swept/seed=1", "runs/swept/seed=1"), ("runs/kil", "runs/killed"), ("last", "runs/killed"),
        ("runs/hot", "runs/hot"), ("./runs/hot/", "runs/hot"),
    ],
)  # fmt: skip
def test_a_run_is_found_by_a_part_of_its_name(inside_home, named, found):
    assert find.run_folder(named) == Path(found)


def test_a_whole_name_comes_before_a_part_and_a_path_before_both(inside_home, config):
    made(inside_home / "runs" / "hot-2", config, status="ok")
    assert find.run_folder("hot") == Path("runs/hot")
    made(inside_home / "hot", config, status="ok")
    assert find.run_folder("hot") == Path("hot")


def test_an_ambiguous_name_lists_up_to_five_runs(inside_home, config):
    with pytest.raises(UserError, match=r"^'seed=' matches 2 runs below ./runs: swept/seed=1, swept/seed=2$"):
        find.run_folder("seed=")
    for i in range(6):
        made(inside_home / "runs" / "more" / f"lr={i}", config)
    with pytest.raises(UserError, match=r"^'more' matches 6 runs .*lr=4, …$"):
        find.run_folder("more")
    made(inside_home / "runs" / "first" / "seed=1", config)
    with pytest.raises(UserError, match=r"2 runs below ./runs: first/seed=1, swept/seed=1$"):
        find.run_folder("seed=1")


def test_an_unknown_name_comes_with_a_suggestion(inside_home):
    with pytest.raises(UserError, match=r"there is no run at fisrt, .*; did you mean 'first'\?$"):
        find.run_folder("fisrt")
    for odd in ("zzzzzzz", "x" * 9999, "a\0b"):
        with pytest.raises(UserError, match=r"runs lists all runs$"):
            find.run_folder(odd)


def test_a_sweep_is_found_by_a_part_of_its_name(inside_home, config):
    assert find.sweep_folder("wep") == Path("runs/swept") and find.sweep_folder("last") == Path("runs/swept")
    with pytest.raises(UserError, match="there is no sweep at first, and no sweep below"):
        find.sweep_folder("first")
    made(inside_home / "runs" / "loose" / "one", config)
    with pytest.raises(UserError, match="there is no sweep at loose"):
        find.sweep_folder("loose")
    with pytest.raises(UserError, match="is a sweep: name one of its runs"):
        find.run_folder("runs/swept")


def test_commands_print_on_stderr_which_run_they_use(lab, home):
    assert lab("resume", "fir", check=0).stderr.splitlines() == ["fir: runs/first"]
    assert "first has ended: ok" in lab("resume", "fir", check=0).stdout
    done = lab("runs", "diff", "fir", "seed=2", check=0)
    assert done.stderr.splitlines() == ["fir: runs/first", "seed=2: runs/swept/seed=2"]
    assert lab("sample", "kille", check=2).stderr.splitlines()[0] == "kille: runs/killed"
