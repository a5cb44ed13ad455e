"""A third party's attention and MLP are found, configured, swept and checked like the lab's."""

import doctest
import importlib.util
import inspect
import json
import types

import pytest

from microgpt_lab import hookimpl
from microgpt_lab.registry import hookspecs
from microgpt_lab.registry.hookspecs import MODEL_KINDS, hook_of
from microgpt_lab.testing import check, parts_of

SOURCE = '''
from microgpt_lab import Linear, Position, Shape, above, at_least, hookimpl, ops

class Average:
    """The mean of the last tokens, times a learned gain (an example)."""

    def __init__(self, *, last: int = 4, gated: bool = False):
        at_least(1, last=last)
        self.last, self.gated = last, gated

    def weights(self, gpt):
        if type(gpt.position).rotate is not Position.rotate or type(gpt.position).bias is not Position.bias:
            raise ValueError("it has no queries and scores: choose position=learned")
        if getattr(gpt.weighting, "func", gpt.weighting) is not ops.softmax:
            raise ValueError("it has no scores: leave weighting=softmax")
        C = gpt.embed
        gate = {"gate": Linear(C, C)} if self.gated else {}
        return {"wv": Linear(C, C), "wo": Linear(C, C, "residual"), "gain": [[1.0] * C]} | gate

    def tables(self, gpt):
        return {"recent": [[1.0]] * min(self.last, gpt.block_size)}

    def __call__(self, x, at, wv, wo, gain, recent, gate=None):
        v, ones = at.remember(wv(x), x[:1] * 0.0 + 1.0)
        mean = ops.convolve(v, recent, at.places) / ops.convolve(ones, recent, at.places)
        return wo(mean * gain if gate is None else mean * gain * ops.sigmoid(gate(x)))

@hookimpl
def attentions():
    return [Average]

class Bilinear:
    """(x Aᵀ · x Bᵀ) Cᵀ, without activation (an example).

    shrink: embed / width of the hidden layer.
    """

    def __init__(self, *, shrink: float = 1.0):
        above(0, shrink=shrink)
        self.shrink = shrink

    def weights(self, gpt):
        C, hidden = gpt.embed, max(1, round(gpt.embed / self.shrink))
        return {"a": Linear(hidden, C), "b": Linear(hidden, C), "c": Shape(C, hidden, "residual")}

    def __call__(self, x, at, a, b, c):
        return (a(x) * b(x)) @ c.T

@hookimpl
def mlps():
    return [Bilinear]
'''
SHORT = ("steps=2", "eval_docs=2", "samples=1", "embed=8", "backend=numpy", "callback=[jsonl]")
SHORT += ("train_docs=100",)


@pytest.fixture
def env(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "third.py").write_text(SOURCE)
    return {"MICROGPT_LAB_PLUGINS": str(tmp_path / "mine")}


@pytest.fixture
def module(env, tmp_path):
    spec = importlib.util.spec_from_file_location("third", tmp_path / "mine" / "third.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_attention_and_an_mlp_are_found_and_configured(lab, env, tmp_path):
    for kind, name in (("attention", "average"), ("mlp", "bilinear")):
        assert f"{kind}={name}" in lab("plugins", kind, env=env, check=0).stdout
    chosen = ("attention=average", "attention.gated=true", "mlp=bilinear", "mlp.shrink=2")
    lab(*SHORT, *chosen, "hydra.run.dir=run", env=env, check=0)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2 and json.loads(lines[-1])["loss/train"] > 0
    assert "did you mean 'mlp.shrink'" in lab("mlp=bilinear", "mlp.shrunk=2", env=env, check=2).stderr
    assert "did you mean 'average'" in lab("attention=avrage", env=env, check=2).stderr


def test_an_attention_and_an_mlp_are_swept(lab, env, tmp_path):
    options = ("-m", "attention=average", "attention.gated=true,false", "hydra.sweep.dir=sweep")
    lab(*SHORT, *options, env=env, check=0)
    summaries = sorted((tmp_path / "sweep").glob("*/summary.json"))
    assert [json.loads(path.read_text())["status"] for path in summaries] == ["ok", "ok"]


def test_an_attention_and_an_mlp_are_checked(module):
    for part in parts_of(module):
        check(part)


def test_what_is_wrong_with_them_is_said_with_the_option_that_shows_it(module):
    """With its defaults, this one is right."""

    class Leaky(module.Average):
        """Looks at the sum of all tokens if it is gated."""

        def __call__(self, x, at, wv, wo, gain, recent, gate=None):
            y = super().__call__(x, at, wv, wo, gain, recent, gate)
            return y if gate is None else y + x.T.sum().T * 0.1

    module.Leaky, module.attentions = Leaky, hookimpl(lambda: [Leaky])
    (leaky,) = (part for part in parts_of(module) if part.kind == "attention")
    message = (
        "^attention=leaky gated=True: peeks at later tokens: changing token 1 changed the logits of token 0"
    )
    with pytest.raises(AssertionError, match=message):
        check(leaky)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_the_example_of_each_hook_is_a_part_that_passes_its_check(kind):
    module = types.ModuleType("example")
    for example in doctest.DocTestParser().get_examples(inspect.getdoc(getattr(hookspecs, hook_of(kind)))):
        exec(example.source, vars(module))
    for part in parts_of(module):
        assert part.kind == kind
        check(part)
