"""What is measured inside a model during training: the figures, and that training does not notice."""

import json
import math
from importlib import import_module
from io import BytesIO
from statistics import fmean

import pytest
from needs import needs

from microgpt_lab import GPT, Corpus, Trainer, UserError, part
from microgpt_lab.checks.options import short_run
from microgpt_lab.core.backend import Batch, Block
from microgpt_lab.core.diagnostics import (
    activations,
    dead,
    diagnose,
    entropies,
    forward,
    next_step,
    saturated,
)
from microgpt_lab.core.naming import find_weight
from microgpt_lab.testing import tensor

C, JAX = (pytest.param(name, marks=pytest.mark.slow) for name in ("c", "jax"))  # to compile
NAMES = ["anna", "bob", "carla", "dan", "eleanor", "ed"] * 8
GO_ON = {"early_stopping": {"name": "early_stopping", "patience": 99}}
LOOKERS = {name: {"name": name} for name in ("tensorboard", "diagnostics", "pictures")}
LOOKERS |= {"watch": {"name": "watch", "numbers": "layer0.attention.wq:0:1 fc1[1,0]", "every": 1}}


def small_trainer(backend, **options):
    corpus = Corpus(NAMES, block_size=8)
    sizes = {"embed": 4, "heads": 2, "block_size": 8}
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **sizes)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *parts, **{"steps": 4, "batch_size": 3, "eval_every": 0} | options)


def flat(matrix):
    return [x for row in matrix.tolist() for x in row]


def root_mean_square(numbers):
    return math.sqrt(fmean(x * x for x in numbers))


@pytest.mark.parametrize("backend", ["python", "numpy", C, JAX])
def test_the_measured_update_is_the_one_that_the_next_step_makes(backend):
    needs(backend)
    trainer = small_trainer(backend)
    trainer.advance(2)
    figures, before = next_step(trainer), {name: flat(w) for name, w in trainer.weights.items()}
    gradients = {name: flat(g) for name, g in trainer.gradients().items()}
    (metrics,) = trainer.advance()
    for name, w in trainer.weights.items():
        update = root_mean_square(a - b for a, b in zip(flat(w), before[name], strict=True))
        size = root_mean_square(before[name])
        assert figures[f"weights/{name}"] == pytest.approx(size)
        assert figures[f"updates/{name}"] == pytest.approx(math.log10(update / size))
        assert figures[f"gradients/{name}"] == pytest.approx(root_mean_square(gradients[name]))
    squares = [len(g) * figures[f"gradients/{name}"] ** 2 for name, g in gradients.items()]
    assert math.sqrt(sum(squares)) == pytest.approx(metrics["optim/grad_norm"])


def test_after_the_last_step_the_update_is_that_of_the_last_learning_rate():
    trainer = small_trainer("numpy")
    trainer.advance(4)
    assert trainer.inputs(4)[1] == 0
    assert all(math.isfinite(x) for name, x in next_step(trainer).items() if name.startswith("updates/"))


def test_activations_of_padded_documents_are_those_of_the_documents_alone():
    trainer, numpy = small_trainer("python"), part("backend", "numpy")
    model, pieces = trainer.model, [trainer.corpus.pieces(document)[0] for document in NAMES[:6]]
    (block,) = numpy.blocks(Batch(pieces, 8, mean=False))
    arrays = {name: numpy.tensor(w.tolist()) for name, w in trainer.weights.items()}
    together = forward(model, arrays, block)
    alone = [forward(model, trainer.weights, Block(ids[:-1], ids[1:], 1.0)) for ids in pieces]
    tokens = [len(ids) - 1 for ids in pieces]

    def mean(name, power=1):
        return sum(n * each[name] ** power for n, each in zip(tokens, alone, strict=True)) / sum(tokens)

    assert len(together) == 6 and together.keys() == alone[0].keys()
    for name, figure in together.items():
        if "/rms/" in name:
            assert figure == pytest.approx(math.sqrt(mean(name, 2)))
        elif "/dead/" in name:
            assert figure <= min(each[name] for each in alone)
        else:
            assert figure == pytest.approx(mean(name))


def test_a_unit_is_dead_if_it_is_0_for_every_token():
    assert dead(tensor([[0.0, 1.0, 0.0, -2.0], [0.0, 0.0, 0.0, 3.0]])) == 0.5
    assert dead(tensor([[0.0, 1.0], [5.0, 1.0]]), tensor([[1.0], [0.0]])) == 0.5  # the 5 is padding


def test_saturation_is_where_tanh_is_beyond_097_and_relu_is_0():
    xs = tensor([[-3.0, -2.0, -0.5, 0.5], [1.9, 2.3, 4.0, 0.0]])
    beyond = fmean(abs(math.tanh(x)) > 0.97 for x in flat(xs))
    assert saturated(xs, part("activation", "tanh")) == beyond == 0.375
    assert saturated(tensor([[-3.0, -2.0, 0.5, 2.0]]), part("activation", "relu")) == 0.5


def test_entropy_is_0_for_one_token_and_log_n_for_n():
    pattern = tensor([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]).reshape(2, 4)
    two_heads = tensor([[1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.0, 0.2]]).split_heads(2)
    assert pattern.shape == (2, 4)
    assert entropies(two_heads) == pytest.approx([math.log(2) / 2, 0.0])  # weights of 0.2 are scaled to 1
    assert entropies(tensor([[1.0, 0.0], [1.5, -0.5]]).split_heads(1)) == []


def test_what_a_model_lacks_is_left_out():
    model = small_trainer("python").model
    assert activations(model, {"logits": tensor([[1.0]])}) == {}


def test_figures_are_computed_once_per_step_and_training_goes_on_without_them():
    trainer, numpy = small_trainer("numpy"), part("backend", "numpy")
    first = diagnose(trainer, numpy)
    assert diagnose(trainer, numpy) is first
    trainer.advance()
    assert diagnose(trainer, numpy) is not first


def losses(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: x for k, x in json.loads(line).items() if not k.startswith("perf")} for line in lines]


@pytest.mark.parametrize("backend", ["python", "numpy", "c", JAX])
def test_looking_at_a_run_changes_no_bit_of_it(tmp_path, backend):
    needs(backend)
    chosen = {"steps": 4, "batch_size": 2, "dropout": 0.1, "eval_every": 2, "backend": {"name": backend}}
    callback = GO_ON | {"jsonl": {"name": "jsonl"}}
    plain = short_run(tmp_path / "plain", **chosen, callback=callback)
    seen = short_run(tmp_path / "seen", **chosen, callback=callback | LOOKERS)
    assert losses(tmp_path / "plain") == losses(tmp_path / "seen")
    assert (plain["samples"], plain["loss/val"]) == (seen["samples"], seen["loss/val"])
    lines = [json.loads(line) for line in (tmp_path / "seen" / "diagnostics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert all(isinstance(x, (int, float)) for line in lines for x in line.values())
    watched = [json.loads(line) for line in (tmp_path / "seen" / "watch.jsonl").read_text().splitlines()]
    assert [line["step"] for line in watched] == [0, 1, 2, 3, 4]
    assert "disabled" not in (tmp_path / "seen" / "log.txt").read_text()


def test_watched_numbers_are_the_weights_and_the_gradients_of_the_next_step(tmp_path, capsys):
    short_run(tmp_path / "run", callback=GO_ON | {"watch": LOOKERS["watch"]}, backend={"name": "numpy"})
    lines = [json.loads(line) for line in (tmp_path / "run" / "watch.jsonl").read_text().splitlines()]
    first, second = (line["fc1[1,0]/data"] for line in lines[:2])
    # The first step of Adam is lr · sign(gradient).
    assert second - first == pytest.approx(-math.copysign(0.01, lines[0]["fc1[1,0]/grad"]), rel=1e-3)
    assert f"step 0  fc1[1,0]                 {first:+.6f}  gradient" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            {"watch": {"name": "watch", "numbers": "layer0.attention.qw:0:0"}},
            "did you mean 'layer0.attention.w",
        ),
        (
            {"watch": {"name": "watch", "numbers": "wte:0:99"}},
            r"wte is \d+ × 2, and rows and columns count from 0",
        ),
        ({"watch": {"name": "watch", "numbers": "wte"}}, "write matrix:row:column"),
        ({"watch": {"name": "watch", "numbers": " "}}, "callback.watch.numbers must be names of weights"),
        ({"pictures": {"name": "pictures"}}, "add tensorboard to callback="),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line_before_anything_is_written(tmp_path, callback, message):
    with pytest.raises(UserError, match=rf"^callback=[^\n]*{message}[^\n]*$"):
        short_run(tmp_path / "run", callback=callback)
    assert not (tmp_path / "run").exists()


def test_a_short_name_must_mean_one_matrix():
    shapes = {
        "wte": (3, 2),
        "layer0.attention.wq": (2, 2),
        "layer1.attention.wq": (2, 2),
        "layer0.mlp.fc1": (8, 2),
    }
    assert find_weight("fc1[7, 1]", shapes) == ("layer0.mlp.fc1", 7, 1)
    assert find_weight("layer1.attention.wq:1:0", shapes) == ("layer1.attention.wq", 1, 0)
    with pytest.raises(ValueError, match=r"several matrices; write one of layer0\.attention\.wq, layer1\."):
        find_weight("wq:0:0", shapes)


def test_pictures_are_png_files_with_a_square_for_each_head():
    pictures = import_module("microgpt_lab_plugins.callbacks.pictures")
    image = pytest.importorskip("PIL.Image")
    heads = [[[1.0, 0.0], [0.25, 0.75]], [[1.0, 0.0], [-0.5, 1.5]]]
    picture = image.open(BytesIO(pictures.png(pictures.drawn(heads)))).convert("RGB")
    assert picture.size == (2 * 2 * 16 + 8, 2 * 16)
    assert picture.getpixel((3, 3)) == pictures.BLUE and picture.getpixel((19, 3)) == pictures.GAP
    assert picture.getpixel((3, 19)) == pictures.colour(0.25) and picture.getpixel(
        (43, 19)
    ) == pictures.colour(-0.5)
