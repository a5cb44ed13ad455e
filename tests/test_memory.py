"""Memory is estimated before the first step of a run, and a run that cannot fit is refused in one line."""

import math
import subprocess
import sys

import pytest

from microgpt_lab import GPT, UserError, part
from microgpt_lab.core.evaluation import evaluated_together
from microgpt_lab.options.compose import compose
from microgpt_lab.run import memory
from microgpt_lab.run.assemble import assemble
from microgpt_lab.run.available import available, left_in_groups, resident
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run
from microgpt_lab.tensors.shapes import Counted, ShapeTensor, on_shapes

WORDS = ["anna", "bob", "carla", "dan", "wilhelmina-victoria"] * 20
LARGE = ("backend=numpy", "embed=64", "layers=2", "batch_size=96")


def needed(*overrides):
    """Bytes that a run needs, in a process that has none."""
    return assemble(compose(["steps=0", "eval_docs=1", *overrides]), WORDS).memory


def refusal(tmp_path, monkeypatch, free, *overrides):
    """What a run says on a machine with this many bytes of memory."""
    monkeypatch.setattr(memory, "resident", lambda: 0)
    monkeypatch.setattr(memory, "available", lambda: free)
    with pytest.raises(UserError) as caught:
        execute(Run(compose([*overrides, "callback=[]", "steps=0"]), tmp_path / "run"))
    assert not any(tmp_path.iterdir()) and "\n" not in str(caught.value)
    return str(caught.value)


def test_numbers_that_operations_make_are_counted_and_views_make_none():
    counted = Counted([], [])
    x, w = ShapeTensor((5, 2, 4), counted), ShapeTensor((3, 4), counted)
    (x @ w.T).softmax()[:2].split_heads(2).merge_heads()
    assert counted.made == [5 * 2 * 3, 5 * 2 * 3]
    assert counted.products == [5 * 2 * 3 * 4]


def test_numbers_of_a_forward_pass_grow_with_documents_and_scores_with_the_square_of_the_length():
    parts = part("activation", "relu"), part("norm", "rmsnorm"), part("position", "none")
    model = GPT(27, *parts, block_size=64)
    one, two, long = (sum(on_shapes(model, *lead)[1].made) for lead in ((1, 8), (2, 8), (1, 64)))
    assert two == 2 * one
    scores = 3 * model.heads  # product, mask and softmax
    assert long - scores * 64**2 == 8 * (one - scores * 8**2)


def test_memory_is_that_of_one_part(monkeypatch):
    monkeypatch.setattr(memory, "resident", lambda: 0)
    sizes = ((f"batch_size={size}", f"accumulate={96 // size}") for size in (96, 32, 1))
    whole, part_of_three, weights = (needed(*LARGE[:-1], *size) for size in sizes)
    assert weights < part_of_three < whole
    assert whole - weights == pytest.approx(3 * (part_of_three - weights), rel=0.05)
    python = ("backend=python", "embed=8", "block_size=8")
    assert needed(*python, "batch_size=32") == pytest.approx(needed(*python), rel=0.1)


def test_a_run_that_does_not_fit_says_what_to_choose(tmp_path, monkeypatch):
    def said(free, *overrides):
        return refusal(tmp_path, monkeypatch, free, *overrides)

    *others, batch = LARGE
    assert said(20e6, *others, "batch_size=96", "accumulate=2").endswith(
        "choose batch_size=16 accumulate=12, with the same losses, or a smaller model or block_size"
    )
    assert (
        "choose batch_size=48 accumulate=2, with the same losses, or backend.precision=float32, or"
        in said(40e6, *others, batch)
    )
    assert said(1e6, *others, batch) == (
        "the run needs about 59 MB of memory on backend=numpy, and 1 MB are available: choose a smaller "
        "model or block_size"
    )
    assert said(1e6, "backend=python", "embed=64").endswith(
        "choose backend=numpy, or a smaller model or block_size"
    )


def test_a_run_that_no_machine_can_do_is_refused_before_it_writes_anything(lab, tmp_path):
    sizes = ("embed=4096", "heads=32", "block_size=4096", "batch_size=100000", "dataset=shakespeare")
    done = lab("backend=numpy", *sizes, check=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the run needs about ") and " TB of memory on backend=numpy, and " in line
    assert not (tmp_path / "runs").exists()


def test_long_documents_are_evaluated_in_smaller_batches():
    assert [evaluated_together(1000, length) for length in (1, 256, 512, 10_000)] == [64, 64, 16, 1]
    assert evaluated_together(5, 16) == 5


def write(folder, limit, used, cached, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{text}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\ntotal_inactive_file {cached}\n")


def test_memory_is_limited_by_each_control_group_around_a_process(tmp_path):
    """Files that the kernel keeps in memory can be dropped, so they count as free."""
    groups, root = tmp_path / "cgroup", tmp_path / "root"
    groups.write_text("9:name=systemd:/\n0::/jobs/mine\n")
    names = "memory.max", "memory.current"
    write(root / "jobs" / "mine", "max", 10, 0, names)
    write(root / "jobs", 100, 70, 20, names)
    assert list(left_in_groups(groups, root)) == [50]
    groups.write_text("4:memory:/job\n2:cpu:/job\n")
    write(root / "memory" / "job", 1000, 300, 0, ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    assert list(left_in_groups(groups, root)) == [700]
    assert list(left_in_groups(tmp_path / "none", root)) == []


def test_this_process_and_this_machine_have_memory():
    assert 0 <= resident() < 100e9
    assert 1e6 < available() <= math.inf


MEASURED = [
    ("python", "dataset=shakespeare block_size=64 embed=32 layers=2 eval_docs=2 batch_size=3"),
    ("python", "layers=2 embed=128 heads=8 eval_docs=2"),
    ("numpy", "dataset=shakespeare block_size=64 batch_size=256 embed=64 layers=2 eval_docs=50"),
    ("numpy", "layers=4 embed=512 heads=8 eval_docs=64"),
    ("jax", "dataset=shakespeare block_size=64 batch_size=256 embed=64 layers=2 eval_docs=50"),
    ("jax", "layers=4 embed=512 heads=8 eval_docs=64"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "options"), MEASURED)
def test_the_estimate_is_near_the_measured_memory(tmp_path, backend, options):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    program = (
        "import resource, sys; from microgpt_lab.__main__ import main; main();"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    run = [f"backend={backend}", "steps=3", "samples=1", *options.split(), "hydra.run.dir=run"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *run],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    header, measured = done.stdout.splitlines(), float(done.stdout.splitlines()[-1])
    (needs,) = (line.split() for line in header if line.startswith("  needs"))
    estimate = float(needs[2]) * {"MB": 1e6, "GB": 1e9}[needs[3]]
    assert estimate / 1.5 < measured < estimate * 1.5
