"""The repr of an object is one line with its name, its shape and its first numbers."""

import inspect
from pathlib import Path

import pytest

import microgpt_lab
from microgpt_lab import GPT, Backend, Corpus, Tensor, Trainer, UserError, Value, part
from microgpt_lab.core.backend import Batch, Dropout
from microgpt_lab.registry.plugins import collect, registry
from microgpt_lab.run.record import Run

BACKENDS = ("python", "numpy", "jax")


def trainer(backend="python"):
    corpus = Corpus(["anna", "bob", "cara", "dan"] * 10)
    model = GPT(corpus.vocab_size, part("activation", "gelu"), part("norm", "rmsnorm"), embed=8, block_size=6)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *parts, steps=40)


def tensors(backend):
    tensor = part("backend", backend).tensor([[0.5, -0.25, 3.0], [0.125, 1.0, 0.0]])
    return {
        f"{backend} tensor": tensor,
        f"{backend} comparison": tensor > 0.0,
        f"{backend} product": tensor @ tensor.T,
    }


def objects():
    """Objects that the public names create, by name."""
    small, value, rows = trainer(), Value(2.0), Tensor([0.5, -1.0], (1, 2))
    dropout = Dropout("key", 0.5, sites=3, width=4)
    batch = Batch([[3, 0, 1, 3]] * 200, 16, mean=True, dropouts=[dropout])
    found = {
        "value": value,
        "a value of others": value * 3.0 + value,
        "a dot product": (rows.tracked() @ rows.tracked().T).data[0],
        "tensor of Values": rows.tracked(),
        "model": small.model,
        "corpus": small.corpus,
        "trainer": small,
        "backend": Backend(),
        "error": UserError("no such part"),
        "batch": batch,
        "run": Run(config={"layers": 1}, folder=Path("runs/" + "x" * 500), overrides=["layers=2"] * 100),
        "registry": registry(),
    }
    for name in BACKENDS:
        found |= tensors(name)
        found[f"{name} block"] = part("backend", name).blocks(batch)[0]
        found[f"{name} weight"] = trainer(name).weights["wte"]
    for name in BACKENDS[:2]:  # jax would compile the gradient first
        found[f"{name} gradient"] = trainer(name).gradients()["wte"]
    for (kind, name), registered in registry().parts.items():
        found |= {f"part {kind}={name}": registered, f"{kind}={name}": registered.build()}
    return found


def test_the_repr_of_every_object_is_one_short_line():
    for name, thing in objects().items():
        text = repr(thing)
        assert "0x" not in text and "\n" not in text and len(text) <= 240, f"{name}: {text}"


def test_the_repr_of_a_model_shows_what_is_not_at_its_default():
    activation, norm = part("activation", "gelu"), part("norm", "rmsnorm", gain=True)
    assert repr(GPT(5, activation, norm)) == "GPT(vocab_size=5, activation=gelu(), norm=RMSNorm(gain=True))"
    parts = {kind: part(kind, name) for kind, name in (("weighting", "softmax"), ("block", "parallel"))}
    parts |= {
        "attention": part("attention", "multihead", kv_heads=2),
        "init": part("init", "normal", std=0.1),
    }
    assert repr(GPT(5, activation, norm, **parts, layers=2)).endswith(
        "attention=Multihead(kv_heads=2), block=parallel(), init=normal(std=0.1), layers=2)"
    )


def test_public_names_are_functions_classes_modules_or_hookimpl():
    """For functions and classes, Python's own repr is enough."""
    named = [getattr(microgpt_lab, name) for name in microgpt_lab.__all__]
    others = [x for x in named if not (inspect.isroutine(x) or inspect.isclass(x) or inspect.ismodule(x))]
    assert others == [microgpt_lab.hookimpl]  # pluggy's decorator


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tensor_shows_its_shape_and_first_numbers(backend):
    shown = repr(part("backend", backend).tensor([[0.5, -0.25, 3.0], [0.125, 1.0, 0.0]]))
    assert shown.endswith("(shape=(2, 3), data=[0.5, -0.25, 3, 0.125, …])")
    compared = repr(part("backend", backend).tensor([[0.5, -0.25]]) > 0.0)
    assert compared.endswith("(shape=(1, 2), data=[True, False])")


def test_a_part_shows_its_options_without_a_repr_of_its_own():
    class Mine:
        """A part."""

        def __init__(self, *, rate: float = 0.5, size: int = 3):
            self.rate, self._size = rate, size

    class Own(Mine):
        """A part that shows itself."""

        def __repr__(self):
            return "my own words"

    def bent(x, *, slope: float = 0.1):
        """A part."""
        return x * slope

    module = type(inspect)("mine")
    module.activations = microgpt_lab.hookimpl(lambda: [bent])
    module.optimizers = microgpt_lab.hookimpl(lambda: [Mine, Own])
    made = {each.name: each for each in collect(module, "mine")}
    assert repr(made["mine"].build(rate=2.0)) == "Mine(rate=2.0)"
    assert repr(made["own"].build()) == "my own words"
    assert repr(made["bent"].build(slope=0.2)) == "bent(slope=0.2)"


def test_the_repr_of_a_tensor_under_compilation_computes_nothing():
    import jax

    backend, shown = part("backend", "jax"), []

    def loss(x):
        shown.extend([repr(x), repr(x > 0.0)])
        return x.total().data

    x = backend.tensor([[0.5, 1.0]])
    jaxpr = str(jax.make_jaxpr(lambda data: loss(type(x)(data)))(x.data))
    assert shown == ["Array(shape=(1, 2), compiled)", "Condition(shape=(1, 2), compiled)"]
    assert jaxpr == str(
        jax.make_jaxpr(lambda data: [type(x)(data) > 0.0, type(x)(data).total().data][1])(x.data)
    )
