"""Presets of models: `model=NAME` chooses parts and options, which anything more specific overrides."""

import functools
import re
from pathlib import Path

import pytest

from microgpt_lab import UserError, load_sweep
from microgpt_lab.commands.help import main as show_help
from microgpt_lab.options.compose import compose
from microgpt_lab.options.config import converted_config
from microgpt_lab.options.differences import differences
from microgpt_lab.options.keys import format_default
from microgpt_lab.options.overrides import flatten, parse_value
from microgpt_lab.run.assemble import assemble

# The parts and keys of each preset, chosen one by one.
BY_HAND = {
    "microgpt": "",
    "gpt2": "norm=layernorm norm.gain=true norm.bias=true activation=gelu activation.approximate=tanh "
    "bias=true embed_norm=false final_norm=true tie_embeddings=true init=gpt2",
    "llama": "norm.gain=true position=rope mlp=glu activation=silu embed_norm=false final_norm=true "
    "init.std=0.02",
    "nanochat": "position=rope attention.qk_norm=true activation=relu2 final_norm=true logit_softcap=15 "
    "init=nanochat",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's own lab folder, with a function that writes a file into it."""
    monkeypatch.setenv("MICROGPT_LAB_HOME", str(tmp_path))

    def write(path, *lines):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("\n".join(lines), encoding="utf-8")

    return write


@functools.cache
def preset(name):
    return compose([f"model={name}"])


@pytest.mark.thorough
@pytest.mark.parametrize("name", BY_HAND)
def test_a_preset_equals_the_same_parts_chosen_one_by_one(name):
    assert preset(name) == compose(BY_HAND[name].split()) | {"model": name}


def test_without_a_preset_the_model_is_microgpt():
    assert compose([]) == compose(["model=microgpt"])
    assert not differences(compose([]))


@pytest.mark.parametrize("name", BY_HAND)
def test_a_preset_trains_at_any_size(name):
    sizes = ["layers=3", "embed=24", "heads=6", "block_size=8", "attention.kv_heads=2", "dataset=reverse"]
    (metrics,) = assemble(compose([f"model={name}", *sizes]), ["abc=cba", "bd=db", "e=e"] * 20).advance()
    assert 0 < metrics["loss/train"] < 9


# An ablation, and what it differs in from the preset.
ABLATIONS = {
    "model=gpt2 activation=relu": {"activation": {"name": "relu"}},
    "model=gpt2 norm=rmsnorm": {"norm": {"name": "rmsnorm", "eps": 1e-5, "gain": True}},
    "model=gpt2 norm=none": {"norm": {"name": "none"}},
    "model=gpt2 norm.gain=false": {"norm": {"name": "layernorm", "eps": 1e-5, "gain": False, "bias": True}},
    "model=gpt2 tie_embeddings=false": {"tie_embeddings": False},
    "model=llama norm=layernorm": {"norm": {"name": "layernorm", "eps": 1e-5, "gain": True, "bias": False}},
    "model=llama init=gpt2": {"init": {"name": "gpt2", "std": 0.02, "zero": False}},
    "model=nanochat attention=multihead": {},
    "model=nanochat attention=linear": {"attention": {"name": "linear"}},
}


@pytest.mark.thorough
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_an_option_of_a_preset_holds_for_the_parts_that_have_it(ablation):
    name = ablation.partition(" ")[0].removeprefix("model=")
    assert compose(ablation.split()) == preset(name) | ABLATIONS[ablation]


def test_a_recipe_wins_over_the_preset_and_the_command_line_over_both(home):
    defaults = ["defaults:", "- override /model: gpt2", "- override /norm: rmsnorm"]
    home(
        "experiments/mine/recipe.yaml",
        "# @package _global_",
        *defaults,
        "final_norm: false",
        "norm: {eps: 0.5}",
    )
    config = compose(["experiment=mine"])
    assert (config["model"], config["activation"]["name"], config["final_norm"]) == ("gpt2", "gelu", False)
    assert config["norm"] == {"name": "rmsnorm", "eps": 0.5, "gain": True}
    config = compose(["experiment=mine", "model=llama", "activation=tanh", "final_norm=true"])
    assert (config["model"], config["mlp"]["name"], config["final_norm"]) == ("llama", "glu", True)
    assert (config["activation"], config["norm"]["eps"]) == ({"name": "tanh"}, 0.5)


def test_a_preset_of_the_user_may_extend_another_one(home):
    page = (Path(__file__).parents[1] / "docs" / "model.md").read_text(encoding="utf-8")
    home("conf/model/mine.yaml", *re.findall(r"```yaml\n(.*?)```", page, flags=re.S))
    config = compose(["model=mine", "norm=layernorm"])
    expected = compose(["model=llama", "norm=layernorm", "activation=relu2", "attention.window=8"])
    assert config == expected | {"model": "mine"}
    assert list(differences(config)) == ["model", "norm"]
    home("conf/model/mine.yaml", "norm: {gian: true}")
    with pytest.raises(
        UserError, match=r"mine\.yaml: 'norm\.gian' is no option of a part; did you mean 'gain'"
    ):
        compose(["model=mine"])


ONLY_WITH_NORMS = "'norm.gain' is an option of norm=layernorm or rmsnorm, which is not chosen"
REFUSED = {
    "model=lama": "model=lama is unknown; did you mean 'llama'?",
    "model=bert": "model=bert is unknown; choose from gpt2, llama, microgpt, nanochat",
    "model=": "model must be one of: gpt2, llama, microgpt, nanochat",
    "model=[gpt2,llama]": "model must be chosen with model=NAME; choose from gpt2, llama, microgpt, nanochat",
    "model.x=1": "model must be chosen with model=NAME; choose from gpt2, llama, microgpt, nanochat",
    "model=../llama": "model=../llama is refused: ../llama is a path, write a name",
    "modle=llama": "'modle' is unknown; did you mean 'model'?",
    "model=gpt2 norm=dyt norm.gain=true": ONLY_WITH_NORMS,
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_about_presets_is_one_line(words):
    with pytest.raises(UserError) as caught:
        compose(words.split())
    assert str(caught.value) == REFUSED[words]


def test_presets_have_a_sentence_in_help(capsys):
    show_help(["model"])
    shown = capsys.readouterr().out
    assert re.findall(r"^  model=(\w+) +(\S+)", shown, flags=re.MULTILINE) == [
        ("gpt2", "GPT-2"),
        ("llama", "Llama"),
        ("microgpt", "microGPT"),
        ("nanochat", "nanochat"),
    ]


ABLATED = ("model=llama", "model=gpt2 norm=rmsnorm", "model=nanochat callback=[console,jsonl]")


@pytest.mark.parametrize("words", ["", *ABLATED])
def test_help_shows_the_values_that_a_run_would_have(words, capsys):
    show_help(words.split())
    shown = re.findall(r"^  ([\w.]+)=(\S*)", capsys.readouterr().out, flags=re.MULTILINE)
    config = dict(flatten(compose(words.split())))
    values = {key: value for key, value in config.items() if not key.startswith(("model", "callback."))}
    assert set(values) <= {key for key, _ in shown}
    for key, value in shown:
        if key in values:
            assert parse_value(value) == parse_value(format_default(values[key])), key


def test_a_run_from_before_presets_is_read():
    config = compose(["activation=gelu"])
    assert converted_config({key: value for key, value in config.items() if key != "model"}) == config


def test_a_sweep_over_presets_is_named_by_them(lab, tmp_path):
    lab(
        "-m",
        "model=glob(*)",
        "backend=numpy",
        "steps=0",
        "samples=0",
        "callback=[]",
        "hydra.sweep.dir=s",
        check=0,
    )
    frame = load_sweep(tmp_path / "s")
    assert frame.attrs["swept"] == ["model"]
    assert sorted(frame["model"]) == sorted(BY_HAND)
    listed = lab("runs", "s", check=0).stdout
    assert re.search(r"model=llama backend=numpy steps=0", listed), listed


def test_the_printed_configuration_has_the_parts_and_options_of_a_preset(lab):
    shown = lab("model=gpt2", "activation=relu", "--cfg", "job", check=0).stdout
    assert shown.startswith("model: gpt2\n") and "activation:\n  name: relu\nnorm:" in shown
    assert "  gain: true\n" in shown


def test_a_preset_may_build_on_several(home):
    home("conf/model/first.yaml", "# @package _global_", "norm: {gain: true, eps: 0.5}", "layers: 2")
    home("conf/model/second.yaml", "# @package _global_", "norm: {eps: 0.25}", "mlp: {ratio: 2.0}")
    home("conf/model/mine.yaml", "# @package _global_", "defaults: [first, second]", "mlp: {ratio: 3.0}")
    config = compose(["model=mine"])
    assert (config["norm"]["gain"], config["norm"]["eps"]) == (True, 0.25)
    assert (config["mlp"]["ratio"], config["layers"]) == (3.0, 2)
    assert differences(config) == {"model": ("mine", "microgpt")}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["defaults: [mine]"], "mine.yaml: its defaults lead back to it"),
        (["defaults: [other]"], "mine.yaml: its defaults lead back to it"),
        (["defaults: 3"], "mine.yaml: its defaults must be a list"),
        (["- final_norm"], "mine.yaml must have keys and values"),
        (["norm: {gain: [1]}"], "in model=mine, norm.gain=[1]: write true or false"),
    ],
)
def test_a_preset_that_is_none_is_refused_in_one_line(home, lines, message):
    home("conf/model/mine.yaml", "# @package _global_", *lines)
    home("conf/model/other.yaml", "# @package _global_", "defaults: [mine]")
    with pytest.raises(UserError, match=re.escape(message)) as error:
        compose(["model=mine"])
    assert "\n" not in str(error.value)
