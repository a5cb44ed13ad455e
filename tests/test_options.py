"""Any number for an option of a part or a run gives a finite run, a diverged run or a one-line error."""

import math

import pytest

from microgpt_lab import UserError, above, at_least, between
from microgpt_lab.checks.options import NUMBERS, check_options, check_run, installed, short_run
from microgpt_lab.options.compose import compose
from microgpt_lab.options.config import run_options
from microgpt_lab.options.differences import differences
from microgpt_lab.options.overrides import parse_value
from microgpt_lab.registry.parts import Part
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run

NUMERIC = [name for name, option in run_options().items() if option.type in (int, float)]


@pytest.mark.parametrize("name", NUMERIC)
def test_any_number_for_an_option_of_a_run_has_a_defined_result(name):
    for value in NUMBERS:
        check_run(**{name: value})


# Values that the parts once accepted silently, or tried.
REFUSED = {
    "scheduler=inverse_sqrt warmup=100": "scheduler.warmup must be from 0 to 1, not 100.0",
    "scheduler=one_cycle peak=5": "scheduler.peak must be from 0 to 1, not 5.0",
    "scheduler=one_cycle start=-1": "scheduler.start must be from 0 to 1, not -1.0",
    "scheduler=wsd decay=5": "scheduler.decay must be from 0 to 1, not 5.0",
    "scheduler=wsd decay=0.9 warmup=0.2": "scheduler.warmup + scheduler.decay must be from 0 to 1, not 1.1",
    "scheduler=step every=-1": "scheduler.every must be above 0 and at most 1, not -1.0",
    "scheduler=step gamma=-1": "scheduler.gamma must be above 0 and at most 1, not -1.0",
    "scheduler=exponential final=0": "scheduler.final must be above 0 and at most 1, not 0.0",
    "scheduler=cosine final=2": "scheduler.final must be from 0 to 1, not 2.0",
    "scheduler=linear final=-1": "scheduler.final must be from 0 to 1, not -1.0",
    "optimizer=rmsprop rho=5": "optimizer.rho must be at least 0 and below 1, not 5.0",
    "optimizer=lion beta1=-1": "optimizer.beta1 must be at least 0 and below 1, not -1.0",
    "optimizer=lion beta2=5": "optimizer.beta2 must be at least 0 and below 1, not 5.0",
    "optimizer=adam eps=-1": "optimizer.eps must be at least 0, not -1.0",
    "optimizer=adamw weight_decay=-1": "optimizer.weight_decay must be at least 0, not -1.0",
    "optimizer=muon momentum=1": "optimizer.momentum must be at least 0 and below 1, not 1.0",
    "optimizer=sgd momentum=-1": "optimizer.momentum must be at least 0 and below 1, not -1.0",
    "norm=rmsnorm eps=-1": "norm.eps must be at least 0, not -1.0",
    "norm=dyt alpha=0": "norm.alpha must be above 0, not 0.0",
    "position=rope base=0": "position.base must be above 0, not 0.0",
    "position=rope partial=2": "position.partial must be from 0 to 1, not 2.0",
    "attention=multihead window=-1": "attention.window must be at least 0, not -1",
    "attention=multihead dropout=1": "attention.dropout must be at least 0 and below 1, not 1.0",
    "attention=multihead window_pattern=X": (
        "attention.window_pattern=X must consist of S and L, such as SSSL"
    ),
    "attention=multihead window_pattern=SSL": (
        "attention.window_pattern=SSL needs a window, such as attention.window=8"
    ),
    "attention=differential qk_gain=true": "attention.qk_gain=true needs attention.qk_norm=true",
    "block=rezero start=nan": "block.start must be a finite number, not nan",
    "mlp=mlp ratio=0": "mlp.ratio must be above 0, not 0.0",
    "mlp=moe top_k=5 experts=4": "mlp.top_k=5 must be at most mlp.experts=4",
    "init=gpt2 std=-1": "init.std must be at least 0, not -1.0",
    "loss=label_smoothing amount=2": "loss.amount must be from 0 to 1, not 2.0",
    "loss=z_loss weight=nan": "loss.weight must be at least 0, not nan",
    "activation=elu alpha=-1": "activation.alpha must be at least 0, not -1.0",
    "activation=leaky_relu slope=nan": "activation.slope must be at least 0, not nan",
    "dataset=arithmetic digits=9": "dataset.digits must be from 1 to 3, not 9",
    "dataset=arithmetic modulus=-97": "dataset.modulus must be from 0 to 1,000, not -97",
    "dataset=reverse length=1000000000": "dataset.length must be from 1 to 100, not 1000000000",
    "dataset=reverse letters=aab": (
        "dataset.letters must be one or more distinct letters other than '=', not 'aab'"
    ),
    "dataset=python_stdlib max_length=0": "dataset.max_length must be at least 1, not 0",
    "callback=samples number=-1": "callback.samples.number must be from 0 to 100,000, not -1",
    "callback=console seconds=nan": "callback.console.seconds must be at least 0, not nan",
    "callback=early_stopping min_delta=-1": "callback.early_stopping.min_delta must be at least 0, not -1.0",
}


@pytest.mark.parametrize("command", REFUSED)
def test_values_outside_their_bounds_are_refused_in_one_line(tmp_path, command):
    first, *options = command.split()
    kind, _, name = first.partition("=")
    chosen = {"name": name} | {
        key: parse_value(value) for key, _, value in (o.partition("=") for o in options)
    }
    with pytest.raises(UserError) as caught:
        short_run(tmp_path / "run", **{kind: {name: chosen} if kind == "callback" else chosen})
    assert str(caught.value) == f"{first}: {REFUSED[command]}"
    assert not any(tmp_path.iterdir())


# What parts refuse when they see the model, or the other parts.
CONTRADICTIONS = {
    "heads=6 embed=24 attention.kv_heads=4": (
        "attention=multihead: heads=6 must be divisible by attention.kv_heads=4"
    ),
    "attention=differential heads=2 attention.kv_heads=4": (
        "attention=differential: heads=2 must be divisible by attention.kv_heads=4"
    ),
    "heads=6 attention.kv_heads=4": "embed=16 must be divisible by heads=6",
    "position=rope attention.head_dim=3": (
        "position=rope: the rotated part of a head must have an even number of dimensions, at least 2, not "
        "3 of 3 (embed / heads, or attention.head_dim, times position.partial)"
    ),
    "attention=linear position=alibi": (
        "attention=linear: linear attention has no scores to bias: choose rope, learned, sinusoidal or none"
    ),
    "attention=linear weighting=sigmoid": (
        "attention=linear: it replaces the weighting of scores: leave weighting=softmax"
    ),
    "attention.sinks=true weighting=relu2": (
        "attention=multihead: attention.sinks=true takes a share of the softmax: leave weighting=softmax"
    ),
    "attention.window=4 attention.window_pattern=SL layers=1": (
        "attention=multihead: attention.window_pattern=SL gives no layer a window with layers=1, because the "
        "last layer is always L"
    ),
    "attention=differential attention.window=4 attention.window_pattern=LLS layers=3": (
        "attention=differential: attention.window_pattern=LLS gives no layer a window with layers=3, because "
        "the last layer is always L"
    ),
    "attention.qk_norm=true norm=none": (
        "attention=multihead: attention.qk_norm=true needs a norm: choose another than norm=none"
    ),
    "attention.qk_norm=true norm=dyt": (
        "attention=multihead: attention.qk_norm=true needs a norm without initial parameters, such as rmsnorm"
    ),
    "init.std=nan": "init=normal: init.std must be at least 0, not nan",
    "logit_softcap=-1": "logit_softcap must be at least 0, not -1.0",
    "embed_scale=nan": "embed_scale must be at least 0, not nan",
    "mlp.ratio=1e9": (
        "the weights (layer0.mlp.fc1 is (16000000000, 16)) make a model of 5.1e+11 numbers, more than "
        "20,000,000, the limit of backend=python"
    ),
    "attention.qk_norm=true attention.qk_gain=true attention.head_dim=1000000000": (
        "layers, embed and the width of heads make a model of 1.3e+11 numbers, more than 20,000,000, the "
        "limit of backend=python"
    ),
    "heads=1000000000 attention.head_dim=1 attention.sinks=true": (
        "layers, embed and the width of heads make a model of 3.2e+10 numbers, more than 20,000,000, the "
        "limit of backend=python"
    ),
}


@pytest.mark.parametrize("command", CONTRADICTIONS)
def test_contradictions_between_parts_are_refused_in_one_line(tmp_path, command):
    with pytest.raises(UserError) as caught:
        execute(Run(compose([*command.split(), "callback=[]"]), tmp_path / "run"))
    assert str(caught.value) == CONTRADICTIONS[command]
    assert not any(tmp_path.iterdir())


def test_options_of_the_model_s_parts_do_not_follow_the_run_s():
    """A data set's `block_size` does, but `dropout` and `bias` of a part are others than those of a run."""

    def pieces(*, block_size: int = 16):
        """Documents that fill the block."""

    with installed(Part("dataset", "pieces", pieces, "mine")):
        config = compose(["dropout=0.5", "bias=true", "block_size=32", "norm=layernorm", "dataset=pieces"])
    assert not config["attention"]["dropout"] and not config["norm"]["bias"]
    assert config["dataset"]["block_size"] == 32
    assert "attention.dropout" not in differences(config) and "dropout" in differences(config)


SIZES = [
    ({"layers": 10**9}, "layers, embed and the width of heads make a model of 1.0e+12 numbers, more than"),
    ({"embed": 10**9}, "layers, embed and the width of heads make a model of 2.0e+18 numbers, more than"),
    (
        {"block_size": 10**9, "embed": 1},
        "block_size, embed and the width of heads make a table of 1.0e+09 numbers, more than 20,000,000",
    ),
    ({"batch_size": 10**9}, "make batches of 1.6e+10 numbers, more than 20,000,000"),
    (
        {"batch_size": 10**4, "accumulate": 10**5, "backend": {"name": "numpy"}},
        "batch_size, accumulate and block_size make batches of 1.6e+10 numbers, more than 500,000,000, the "
        "limit of backend=numpy",
    ),
    ({"steps": 10**15 + 1}, "steps must be from 0 to 1,000,000,000,000,000, not 1000000000000001"),
    ({"samples": 10**9}, "samples must be from 0 to 100,000, not 1000000000"),
    ({"seed": -1}, "seed must be at least 0, not -1"),  # its numbers would be those of seed 1
]


@pytest.mark.parametrize(("chosen", "message"), SIZES, ids=str)
def test_sizes_beyond_a_limit_are_refused_and_not_tried(tmp_path, chosen, message):
    with pytest.raises(UserError) as caught:
        short_run(tmp_path / "run", **chosen)
    assert message in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_bounds_accept_their_ends_and_refuse_nan_and_infinity():
    at_least(0, x=0, y=1e308)
    at_least(0, below=1, x=0.0, y=0.999)
    above(0, x=5e-324, y=1e308)
    above(0, at_most=1, x=1)
    between(0, 1, x=0, y=1)
    wrong = [(at_least, (0,), {}, -1), (at_least, (0,), {"below": 1}, 1), (above, (0,), {}, 0)]
    wrong += [(above, (0,), {"at_most": 1}, 1.5), (between, (0, 1), {}, 1.5), (between, (0, 1), {}, -0.5)]
    for function, bounds, more, value in wrong:
        for each in (value, math.nan, math.inf):
            with pytest.raises(ValueError, match=f"^x must be .*, not {each}$"):
                function(*bounds, **more, x=each)


def mean(x, *, slope: float = 1.0):
    """Refuses a slope of 2 only during a run."""
    if slope == 2 and x.shape[-2] > 2:  # a run tries parts with two tokens before it starts
        raise RuntimeError("not this one")
    return x * slope


class Late:
    """Checks its option only after the run has started."""

    def __init__(self, *, number: int = 1):
        self.number = number

    def run_started(self):
        at_least(0, number=self.number)


def huge(step, steps, *, power: float = 1e9):
    """Overflows with its default."""
    return 10.0**power


BROKEN = {
    "scheduler": (huge, "it is refused with its default options"),
    "activation": (mean, r"activation.slope=2: the run raised RuntimeError: not this one"),
    "callback": (Late, r"callback late failed in run_started and is disabled: OutOfRange: number must be"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_parts_that_check_their_options_too_late_are_named(kind):
    make, message = BROKEN[kind]
    broken = Part(kind, make.__name__.lower(), make, "tests")
    with pytest.raises(AssertionError, match=message):
        check_options(broken)
