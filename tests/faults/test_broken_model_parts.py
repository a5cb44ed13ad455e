"""Promise: a part of the model that cannot work is named in one line, before anything is on disk."""

import pytest

from microgpt_lab import Linear, Position, Shape, UserError, ops
from microgpt_lab.checks.options import installed, short_run
from microgpt_lab.core.model import MLP, Multihead
from microgpt_lab.registry.parts import Part


def raises(*arguments, **more):
    raise RuntimeError("no")


class Raises:
    """Cannot be called."""

    def __call__(self, *arguments, **more):
        raise RuntimeError("no")


class Rotates(Position):
    """Rotates to half the width."""

    def rotate(self, x, places):
        return x[:1]


class Biases(Position):
    """Biases to nothing."""

    def bias(self, scores, places):
        return None


class Embeds(Position):
    """Embeds one number."""

    def embed(self, x, places):
        return x[:1]


class Placeless(Position):
    """Takes too few arguments."""

    def embed(self, x):
        return x


class FewRows(Position):
    """Has rows for two places."""

    def tables(self, gpt):
        return {"rows": [[1.0]] * 2}

    def embed(self, x, places, rows):
        return x * rows.take(places)


class Baseless:
    """Is no Position."""

    def embed(self, x, places):
        return x


class UnknownRole(MLP):
    """Declares a role that does not exist."""

    def weights(self, gpt):
        return {"fc": Linear(gpt.embed, gpt.embed, "output")}


class TakesNone(MLP):
    """Takes none of its weights."""

    def __call__(self, x, at):
        return x


class NamesItsEnd(MLP):
    """Names a tensor of another shape as the model names the end of a layer."""

    def __call__(self, x, at, fc1, fc2):
        at.see("end", x[:1])
        return super().__call__(x, at, fc1, fc2)


class Tables(Position):
    """Makes a table of words."""

    def tables(self, gpt):
        return {"words": [["a"]]}


class Inherits(Multihead):
    """Hands a wrong argument to the attention that it inherits from."""

    def __call__(self, x, at, **w):
        return super().__call__(None, at, **w)


class One(Multihead):
    """Returns one number a token, which would be added to all of the stream."""

    def __call__(self, x, at, **w):
        return super().__call__(x, at, **w)[:1]


class Many(MLP):
    """Declares a list."""

    def weights(self, gpt):
        return [Linear(gpt.embed, gpt.embed)]


class Flat(MLP):
    """Declares a row that is no matrix."""

    def weights(self, gpt):
        return {"fc": [1.0, 2.0]}


class Empty(MLP):
    """Declares a matrix without rows."""

    def weights(self, gpt):
        return {"fc": Shape(0, gpt.embed)}


class Refuses(MLP):
    """Refuses each model."""

    def __init__(self, *, size: int = 1):
        self.size = size

    def weights(self, gpt):
        raise ValueError(f"size={self.size} is too small")


def transposed(shape, gpt, rng):
    return [[0.1] * shape.out for _ in range(shape.in_)]


def mean_loss(logits, targets):
    return (ops.logsumexp(logits) - logits.pick(targets)).total()


def half_block(x, attention, mlp, norm1):
    return (x + attention(norm1(x)) + mlp(x))[:1]


def without_mlp(x, attention):
    return x + attention(x)


CANNOT_RUN = {
    "attention raises": ("attention", Raises, "RuntimeError: no"),
    "attention returns one number a token": (
        "attention",
        One,
        "ValueError: it changed the shape from (2, 2) to (2, 1)",
    ),
    "attention calls another wrongly": (
        "attention",
        Inherits,
        "Error: ",
    ),
    "weighting raises": ("weighting", raises, "RuntimeError: no"),
    "weighting changes the shape": (
        "weighting",
        lambda x: x[:1],
        "ValueError: it changed the shape from (1, 2, 2) to (1, 2, 1)",
    ),
    "mlp raises": ("mlp", raises, "RuntimeError: no"),
    "mlp returns a number": ("mlp", lambda x, at: 0.0, "TypeError: it returned float, not a tensor"),
    "position rotates to another width": ("position", Rotates, "ValueError: it changed the shape"),
    "position biases to nothing": ("position", Biases, "TypeError: it returned NoneType, not a tensor"),
    "position embeds one number": ("position", Embeds, "it changed the shape from (2, 2) to (2, 1)"),
    "block raises": ("block", lambda x, attention, mlp: raises(), "RuntimeError: no"),
    "block changes the shape": ("block", half_block, "it changed the shape from (2, 2) to (2, 1)"),
    "position has rows for two places": (
        "position",
        FewRows,
        "take(places) of a table with 2 rows, for up to",
    ),
    "loss raises": ("loss", raises, "RuntimeError: no"),
    "loss of all tokens together": (
        "loss",
        mean_loss,
        "ValueError: it returned shape (1, 1), not (…, T, 1): return one loss for each token",
    ),
}


def refused(tmp_path, kind, make, **chosen):
    make.__doc__, name = make.__doc__ or "A part.", "mine"
    with installed(Part(kind, name, make, "tests")), pytest.raises(UserError) as caught:
        short_run(tmp_path / "run", **{kind: {"name": name}} | chosen)
    assert not any(tmp_path.iterdir())
    return str(caught.value)


@pytest.mark.parametrize("what", CANNOT_RUN)
def test_a_part_of_the_model_that_cannot_run_is_named(tmp_path, what):
    kind, make, message = CANNOT_RUN[what]
    for backend in ("python", "numpy"):
        line = refused(tmp_path, kind, make, backend={"name": backend})
        assert line.startswith(f"{kind}=mine (from tests) cannot run on backend={backend}: ")
        assert message in line and "\n" not in line


def test_a_part_may_name_tensors_of_its_own_as_it_likes(tmp_path):
    with installed(Part("mlp", "mine", NamesItsEnd, "tests")):
        assert short_run(tmp_path / "run", mlp={"name": "mine"})["status"] == "ok"


CANNOT_BE_BUILT = {
    "mlp declares a list": (
        "mlp",
        Many,
        "mlp=mine (from tests) cannot be built: AttributeError: 'list' object has no attribute 'items'",
    ),
    "mlp declares a row": (
        "mlp",
        Flat,
        "mlp=mine (from tests) declares layer0.mlp.fc as [1.0, 2.0]: write Linear(out, in), Shape(out, in), "
        "or rows of numbers to start with",
    ),
    "mlp declares nothing": (
        "mlp",
        Empty,
        "mlp=mine (from tests) declares layer0.mlp.fc as Shape(out=0, in_=2, role='hidden', linea: "
        "write Linear(out, in), Shape(out, in), or rows of numbers to start with",
    ),
    "mlp declares an unknown role": (
        "mlp",
        UnknownRole,
        "mlp=mine (from tests) declares layer0.mlp.fc as Shape(out=2, in_=2, role='output', linea: "
        "its role 'output' is unknown; choose from embedding, hidden, residual, head, scale",
    ),
    "mlp takes no weights": (
        "mlp",
        TakesNone,
        "mlp=mine (from tests): it is called with x, at, fc1, fc2: got an unexpected keyword argument 'fc1' "
        "(weights and tables are what weights(gpt) and tables(gpt) of its class return)",
    ),
    "block asks for less": (
        "block",
        without_mlp,
        "block=mine (from tests): it is called with x, attention, mlp: too many positional arguments "
        "(names of norms begin with norm)",
    ),
    "position has no places": (
        "position",
        Placeless,
        "position=mine (from tests): it is called with x, places: too many positional arguments "
        "(weights and tables are what weights(gpt) and tables(gpt) of its class return)",
    ),
    "position has no base": (
        "position",
        Baseless,
        "position=mine (from tests) is not a subclass of microgpt_lab.Position",
    ),
    "mlp refuses": ("mlp", Refuses, "mlp=mine: mlp.size=1 is too small"),
    "position makes a table of words": (
        "position",
        Tables,
        "position=mine: could not convert string to float: 'a'",
    ),
    "init raises": ("init", raises, "init=mine (from tests) cannot be built: RuntimeError: no"),
    "init draws another shape": (
        "init",
        transposed,
        "init=mine (from tests) returned a matrix (2, 10) for wte, not (10, 2)",
    ),
}


@pytest.mark.parametrize("what", CANNOT_BE_BUILT)
def test_a_part_with_which_no_model_can_be_built_is_named(tmp_path, what):
    kind, make, message = CANNOT_BE_BUILT[what]
    assert refused(tmp_path, kind, make) == message
