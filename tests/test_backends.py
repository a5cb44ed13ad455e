"""Every backend gives the same results as the python backend, the reference, with every part."""

import doctest
import functools
import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from needs import needs

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.backend import Batch, Dropout
from microgpt_lab.core.reading import lines
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.watchers import Watchers
from microgpt_lab.tensors.masks import draw_masks
from microgpt_lab.tensors.padding import padded
from microgpt_lab.tensors.shapes import ShapeTensor
from microgpt_lab.testing import (
    OPERATIONS,
    assert_gradients,
    assert_same_gradients,
    losses,
    noise,
    small_trainer,
)

BACKENDS = [name for name in registry().names("backend") if name != "python"]
# Compiling takes JAX seconds, so what one of its other tests would find too is slow. Parts and settings on C
# are in test_c_backend.py, several in a model.
JAX_SLOW = [pytest.param(name, marks=[pytest.mark.slow] * (name == "jax")) for name in BACKENDS]
THOROUGH = [pytest.param(name, marks=[pytest.mark.thorough] * (name == "jax")) for name in BACKENDS]
COMPILED = ("jax", "c")
SWAPPED = [
    (p.kind, p.name) for p in registry().parts.values() if p.kind in ("activation", "norm", "optimizer")
]


@functools.cache
def backend(name, **options):
    needs(name)
    return part("backend", name, **options)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", THOROUGH)
def test_operations_and_their_gradients_equal_the_reference(name, operation):
    assert_same_gradients(backend(name), OPERATIONS[operation], operation)


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_numbers_of_numpy_are_numbers_and_its_functions_refuse_tensors(name):
    x, two = backend(name).tensor([[0.5, -0.25]]), np.float64(2)
    pairs = (two + x, 2.0 + x), (two - x, 2.0 - x), (two * x, 2.0 * x), (two / x, 2.0 / x)
    for found, expected in pairs:
        assert found.tolist() == expected.tolist()
    assert (np.float64(0) < x).data.tolist() == [[True, False]]
    assert (two * ShapeTensor((2, 3))).shape == (2, 3)
    for function in (np.tanh, np.maximum, np.sum):
        with pytest.raises(TypeError, match=r"use the functions of microgpt_lab\.ops"):
            function(x, 0.0) if function is np.maximum else function(x)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_of_operations_equal_central_differences(operation):
    assert_gradients(OPERATIONS[operation], noise(3, 4), noise(3, 4, seed=1))


@functools.cache
def reference(kind, name, steps):
    return losses(small_trainer(backend("python"), steps, **{kind: part(kind, name)}))


def every_part_on_every_backend():
    """JAX compiles each for a second; its operations, and combinations of all parts, are compared besides."""
    for name in BACKENDS:
        for kind, swapped in SWAPPED:
            slow = name in COMPILED and (name, swapped) != ("c", "muon")
            yield pytest.param(kind, swapped, name, 40, marks=[pytest.mark.slow] * slow)
            yield pytest.param(kind, swapped, name, 200, marks=pytest.mark.slow)


@pytest.mark.parametrize(("kind", "swapped", "name", "steps"), list(every_part_on_every_backend()))
def test_losses_with_every_part_equal_the_reference(kind, swapped, name, steps):
    found = losses(small_trainer(backend(name), steps, **{kind: part(kind, swapped)}))
    assert found == pytest.approx(reference(kind, swapped, steps), rel=0, abs=1e-9)


SETTINGS = {
    "a batch": {"batch_size": 5},
    "dropout in a batch": {"dropout": 0.3, "batch_size": 3},
    "clipping": {"grad_clip": 0.5},
    "clipping by matrices": {"grad_clip": 0.5, "optimizer": ("muon", {})},
    "two layers, tied": {"layers": 2, "tie_embeddings": True, "heads": 4},
    "learned norms": {"norm": ("layernorm", {"gain": True, "bias": True}), "batch_size": 2},
    "one place": {"block_size": 1, "batch_size": 4},
    "gelu by tanh": {"activation": ("gelu", {"approximate": "tanh"})},
    "momentum": {"optimizer": ("sgd", {"momentum": 0.9, "nesterov": True})},
}


def every_setting_on_every_backend():
    for name in BACKENDS:
        for setting in SETTINGS:
            mark = pytest.mark.thorough if setting == "dropout in a batch" else pytest.mark.slow
            yield pytest.param(setting, name, marks=[mark] * (name in COMPILED))


@pytest.mark.parametrize(("setting", "name"), list(every_setting_on_every_backend()))
def test_losses_with_other_settings_equal_the_reference(setting, name):
    chosen = {k: part(k, v[0], **v[1]) if isinstance(v, tuple) else v for k, v in SETTINGS[setting].items()}
    found = losses(small_trainer(backend(name), 40, **chosen))
    assert found == pytest.approx(losses(small_trainer(backend("python"), 40, **chosen)), rel=0, abs=1e-9)


@pytest.mark.parametrize("name", JAX_SLOW)
def test_evaluation_samples_and_gradients_equal_the_reference(name):
    """Evaluation is padded, and sampling uses a cache. The gradients are those of histograms."""
    ours, theirs = small_trainer(backend(name), 10), small_trainer(backend("python"), 10)
    losses(ours), losses(theirs)
    ours.sampler = theirs.sampler = part("sampler", "multinomial", temperature=1.0)
    documents = ["anna", "d", "florence"] * 30
    assert ours.evaluate(documents) == pytest.approx(theirs.evaluate(documents), abs=1e-12)
    assert ours.sample(samples=4) == theirs.sample(samples=4)
    for key, grad in theirs.gradients().items():
        np.testing.assert_allclose(ours.gradients()[key].tolist(), grad.tolist(), atol=1e-12)


@pytest.mark.parametrize("name", BACKENDS)
def test_losses_equal_the_published_ones_on_any_backend(name, karpathy_names):
    corpus = Corpus(lines(karpathy_names), split="none")
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"))
    parts = part("optimizer", "adam"), part("scheduler", "linear"), backend(name)
    golden = (karpathy_names.parents[1] / "golden" / "microgpt_losses.txt").read_text().split()[1::2]
    found = losses(Trainer(model, corpus, *parts, steps=1000))
    assert found == pytest.approx(list(map(float, golden)), rel=0, abs=1e-9)


@pytest.mark.parametrize("name", JAX_SLOW)
def test_float32_losses_stay_near_the_reference(name):
    """24 bits are seven digits. 50 steps of Adam, which divides by small roots, lose about three of them."""
    found = losses(small_trainer(backend(name, precision="float32"), 50, batch_size=4, dropout=0.1))
    expected = losses(small_trainer(backend("python"), 50, batch_size=4, dropout=0.1))
    assert found == pytest.approx(expected, abs=1e-3)
    assert found != expected


class HeavyBall:
    """Optimizer whose state is the previous weight."""

    lr = 0.05

    def init(self, w):
        return w

    def update(self, g, before, w, lr, step):
        return w - g * lr + (w - before) * 0.5, w


class SwappingState:
    """Optimizer whose state swaps its tensors and the order of its keys."""

    lr = 0.05

    def init(self, w):
        return {"a": w * 0.0, "b": (w * 0.0, None)}

    def update(self, g, state, w, lr, step):
        return w - (g + state["a"] * 0.5) * lr, {"b": (state["a"], None), "a": state["b"][0] + g}


@pytest.mark.thorough
@pytest.mark.parametrize("name", JAX_SLOW)
@pytest.mark.parametrize("optimizer", [HeavyBall, SwappingState])
def test_optimizer_states_may_be_old_weights_or_swap_places(name, optimizer):
    found = losses(small_trainer(backend(name), 20, optimizer=optimizer()))
    expected = losses(small_trainer(backend("python"), 20, optimizer=optimizer()))
    assert found == pytest.approx(expected, rel=0, abs=1e-9)


def test_the_example_of_an_array_with_its_gradient_runs():
    module = sys.modules[type(backend("numpy").tensor([[1.0]])).__module__]
    assert doctest.testmod(module) == (0, 4)


def test_numbers_keep_their_precision_through_a_step():
    """A constant of another type, in a table, a mask or a choice, would make all that follows float64."""
    chosen = {"position": part("position", "alibi"), "weighting": part("weighting", "relu2")}
    chosen |= {"attention": part("attention", "multihead", window=2, dropout=0.1), "mlp": part("mlp", "moe")}
    trainer = small_trainer(backend("numpy", precision="float32"), 2, batch_size=3, dropout=0.1, **chosen)
    losses(trainer)
    arrays = [*trainer.weights.values(), *trainer.gradients().values()]
    assert {array.data.dtype for array in arrays} == {np.dtype("float32")}


def test_trainers_in_different_threads_do_not_interfere():
    def train(seed):
        return losses(small_trainer(backend("numpy"), 20, batch_size=4, seed=seed))

    alone = [train(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(train, range(3))) == alone


def test_products_outside_a_step_give_no_warning():
    """As when sampling: OpenBLAS raises "invalid value" for some finite numbers, and rarely enough."""
    tensor = backend("numpy").tensor
    assert np.isnan((tensor([[math.inf, 1.0]]) @ tensor([[1.0], [-math.inf]])).tolist()).all()


@pytest.mark.parametrize("name", JAX_SLOW)
def test_weights_without_a_gradient_get_zeros(name):
    from microgpt_lab import ops

    trainer = small_trainer(backend(name), 2, activation=lambda x: ops.where(x > 0, 1.0, 0.0) * x**0)
    losses(trainer)
    gradients = trainer.gradients()
    assert {n: g.shape for n, g in gradients.items()} == {n: w.shape for n, w in trainer.weights.items()}
    assert not np.any(gradients["layer0.mlp.fc1"].tolist())


def test_padding_has_no_loss_weight():
    batch = Batch([[0, 1, 2, 0], [0, 3, 0]], 8, mean=True)
    tight, loose = padded([batch], "float64"), padded([batch], "float64", height=4, length=6)
    assert tight.ids.tolist() == [[[0, 1, 2], [0, 3, 0]]]
    assert tight.loss_weight[..., 0].tolist() == [[[0.2, 0.2, 0.2], [0.2, 0.2, 0.0]]]
    assert loose.ids.shape == (1, 4, 6) and loose.loss_weight.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", JAX_SLOW)
def test_padded_lengths_are_at_most_the_block_size(name):
    def found(backend):
        corpus = Corpus(["ab" * 20, "abc", "b" * 16], split="none", block_size=17)
        model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), block_size=17)
        return losses(
            Trainer(model, corpus, part("optimizer", "adam"), part("scheduler", "linear"), backend, steps=6)
        )

    assert found(backend(name)) == pytest.approx(found(backend("python")), rel=0, abs=1e-12)


def test_numpy_and_python_draw_the_same_dropout_masks():
    """Keys of several lengths, and more numbers than the generator makes at a time (312)."""
    batch = Batch([[0] * 4, [0] * 17], 16, mean=True)
    of_tokens = [Dropout("any key"[:length], 0.3, sites=3, width=7) for length in range(1, 8)]
    for dropout in *of_tokens, Dropout("other", 0.3, sites=2, heads=2):
        for kept, matrices in zip(draw_masks(dropout, batch), dropout.masks([3, 16]), strict=True):
            for mask, rows in zip(kept * dropout.scale, matrices, strict=True):
                length = len(rows)
                heads = mask.swapaxes(0, 1).reshape(length, -1) if mask.ndim == 3 else mask
                assert heads.tolist() == rows


@pytest.mark.thorough
@pytest.mark.parametrize("name", BACKENDS)
def test_stopping_within_a_call_gives_the_weights_of_that_step(name):
    class Stops:
        def should_stop(self, step):
            return step == 13

    trainer = small_trainer(backend(name), 40, block_size=2)  # JAX compiles it for one length
    trainer.watch, trainer.steps_per_second = Watchers([Stops()]), 40
    trainer.train()
    expected = small_trainer(backend(name), 40, block_size=2)
    expected.advance(13)
    assert trainer.step == 13
    assert trainer.weights["wte"].tolist() == expected.weights["wte"].tolist()


@pytest.mark.parametrize("name", BACKENDS)
def test_steps_before_a_divergence_are_kept(name):
    def factor(step, steps):
        return 1.0 if step < 5 else 1e200

    trainer = small_trainer(backend(name), 40, scheduler=factor, block_size=2)
    assert len(trainer.advance(20)) == 5  # the squares of the weights after the sixth step are not finite
    assert np.isfinite(trainer.weights["wte"].tolist()).all() and trainer.step == 5
    with pytest.raises(FloatingPointError, match="step 6"):
        trainer.advance()


def test_callbacks_with_every_see_the_weights_of_their_steps():
    seen = []

    class Looks:
        every = 3

        def step_finished(self, step):
            seen.append((step, trainer.step))

    fuses = part("backend", "numpy")
    fuses.fused = 20  # steps in a call, as where a call is compiled
    trainer = small_trainer(fuses, 20)
    trainer.watch, trainer.steps_per_second = Watchers([Looks()]), 20
    trainer.train()
    assert [step for step, now in seen if step == now] == [3, 6, 9, 12, 15, 18, 20]
