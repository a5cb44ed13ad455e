"""Equal budgets: the chosen width makes two models cost the same, and no other width is nearer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgpt_lab import GPT, UserError, load_sweep
from microgpt_lab.options.compose import compose
from microgpt_lab.options.older import part_with_defaults
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import build
from microgpt_lab.run.folder import read, read_summary
from microgpt_lab.run.match import MODEL_KINDS, around, matched
from microgpt_lab.tensors.shapes import flops_per_token, weight_shapes

VOCABULARY = 27  # of us_names
SHORT = ("steps=2", "samples=0", "eval_docs=2", "backend=numpy", "callback=[console,jsonl,checkpoint]")
SHORT += ("train_docs=100",)
BLOCKS = sorted(name for kind, name in registry().parts if kind == "block")
MIXED = [
    ("multihead", {}),
    ("multihead", {"kv_heads": 2, "sinks": True}),
    ("linear", {}),
    ("differential", {}),
]


@pytest.fixture(scope="module")
def config():
    return compose(["embed=48", "layers=2"])


def with_parts(config, **parts):
    return config | {kind: part_with_defaults(kind, name) for kind, name in parts.items()}


def cost(config, ratio=None):
    """The parameters or the FLOPs of a configuration's model, perhaps with another ratio of its MLP."""
    config = config | {"mlp": config["mlp"] | ({"ratio": ratio} if ratio else {})}
    parts = {kind: build(kind, config[kind]) for kind in MODEL_KINDS}
    model = GPT(VOCABULARY, **parts, **{name: config[name] for name in options_of(GPT)})
    if config["match"] == "flops":
        return flops_per_token(model)
    return sum(w.shape[0] * w.shape[1] for w in weight_shapes(model).values())


@pytest.mark.thorough
@pytest.mark.parametrize("match", ["parameters", "flops"])
@pytest.mark.parametrize("attention", MIXED, ids=lambda attention: " ".join(map(str, attention)))
@pytest.mark.parametrize("mlp", ["mlp", "glu", "moe"])
def test_the_nearest_width_is_chosen_and_costs_the_same_within_a_percent(config, mlp, attention, match):
    microgpt = cost(config | {"match": match})
    for block in BLOCKS:
        mixed = with_parts(
            config, mlp=mlp, block=block, attention=attention[0], norm="layernorm", position="rope"
        )
        mixed["attention"] |= attention[1]
        chosen = matched(mixed | {"match": match, "bias": True, "tie_embeddings": True})
        width, embed = round(chosen["mlp"]["ratio"] * 48), 48
        apart = [abs(cost(chosen, n / embed) - microgpt) for n in (width - 1, width, width + 1)]
        assert abs(cost(chosen) - microgpt) == min(apart) == apart[1] <= 0.01 * microgpt
        assert chosen["match_reference"] == str(microgpt)


@given(st.data())
def test_the_neighbours_of_a_cost_are_those_that_a_search_of_all_numbers_finds(data):
    """Costs grow. Some numbers are refused, as those that the heads do not divide."""
    step, last = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 300))
    factor, wanted = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 2000))
    costs = {n: n * factor + 5 for n in range(step, last + 1, step)}
    below = [n for n in costs if costs[n] < wanted]
    above = [n for n in costs if costs[n] >= wanted]
    nearest = [*below[-1:], *(above[:1] if below else above[:2])]
    assert around(costs.get, wanted) == {n: costs[n] for n in nearest}


def test_the_default_model_keeps_its_width(config):
    for match in ("parameters", "flops"):
        chosen = matched(config | {"match": match})
        assert chosen == config | {"match": match, "match_reference": str(cost(config | {"match": match}))}


def test_without_match_nothing_is_chosen(config):
    changed = config | {"mlp": config["mlp"] | {"ratio": 3.0}, "match_reference": "100000"}
    assert matched(changed, ["mlp.ratio=3"]) is changed


def test_keys_of_match_are_refused_without_it(config):
    for word in ("match_reference=20000", "match_free=embed"):
        with pytest.raises(UserError, match="has no effect without match=parameters or match=flops: add one"):
            matched(config, [word])
        assert matched(config, [word, "match=none"]) is config  # a change of a sweep may leave it out


def test_the_reference_is_a_number_or_this_model_with_other_keys(config):
    glu = with_parts(config, mlp="glu") | {"match": "parameters"}
    assert matched(glu | {"match_reference": "3e4"})["match_reference"] == "30000"
    for words, other in (
        ("mlp=mlp", with_parts(glu, mlp="mlp")),
        ("mlp.ratio=2 layers=3", glu | {"layers": 3, "mlp": glu["mlp"] | {"ratio": 2.0}}),
        (
            "mlp.experts=2 bias=true mlp=moe",
            glu | {"mlp": part_with_defaults("mlp", "moe") | {"experts": 2}, "bias": True},
        ),
    ):
        chosen = matched(glu | {"match_reference": words})
        assert int(chosen["match_reference"]) == cost(other)
        assert abs(cost(chosen) - cost(other)) <= 0.01 * cost(other)


def test_other_numbers_can_be_free(config):
    """With two heads, embed=402 is nearest to the reference, but RoPE needs an even number for each head."""
    free = {"match": "parameters", "match_free": "embed"}
    rope = with_parts(config, position="rope") | {"heads": 2} | free
    wanted = cost(rope | {"embed": 402})
    chosen = matched(rope | {"match_reference": str(wanted)})
    assert chosen["embed"] == 400 and abs(cost(chosen) - wanted) <= 0.01 * wanted
    assert matched(config | free | {"match_free": "layers", "match_reference": "280000"})["layers"] == 10


def test_the_vocabulary_counts(config):
    glu = with_parts(config, mlp="glu") | {"match": "parameters"}
    bytes_ = matched(with_parts(glu, tokenizer="byte"))
    more = (256 - 26) * 2 * 48
    assert int(bytes_["match_reference"]) == int(matched(glu)["match_reference"]) + more


def test_matching_a_run_that_is_matched_changes_nothing(config):
    """So that the job of a sweep is found by its configuration, however often it is composed."""
    glu = matched(with_parts(config, mlp="glu") | {"match": "flops"})
    assert matched(glu) == glu


@pytest.mark.thorough
def test_a_sweep_compares_settings_of_equal_cost_and_is_repeated_for_free(lab, tmp_path):
    sweep = "-m", *SHORT, "match=parameters", "mlp=glu,mlp", "seed=0,1", "hydra.sweep.dir=sweep"
    done = lab(*sweep, check=0)
    assert done.stdout.count("  mlp.ratio=2.7") == 2 and done.stdout.count("  mlp.ratio=4.0") == 2
    frame = load_sweep(tmp_path / "sweep")
    assert frame.attrs["swept"] == ["mlp", "seed"]
    assert frame.attrs["fixed"]["match_reference"] == "4192"
    assert dict(zip(frame["mlp"], frame["parameters"])) == {"glu": 4208, "mlp": 4192}
    assert lab(*sweep, check=0).stdout.count("already finished") == 4
    dry = lab(*sweep, "--dry", check=0).stdout
    assert "0 to run, 4 already finished" in dry


def test_the_widths_of_models_of_several_sizes_are_not_swept(lab, tmp_path):
    lab("-m", *SHORT, "match=none,flops", "mlp=glu", "embed=16,32", "hydra.sweep.dir=sweep", check=0)
    assert load_sweep(tmp_path / "sweep").attrs["swept"] == ["match", "embed"]


def test_a_run_says_what_was_chosen_and_resumes_with_it(lab, tmp_path):
    run = *SHORT, "match=parameters", "mlp=glu", "hydra.run.dir=run"
    lines = lab(*run, check=0).stdout.splitlines()
    assert "  match  mlp.ratio=2.7, 4,208 of 4,192 parameters (+0.4%)" in lines
    config = read(tmp_path / "run" / "config.yaml")
    assert config["mlp"]["ratio"] == 2.7 and config["match_reference"] == "4192"
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    (tmp_path / "run" / "summary.json").unlink()
    lab("resume", "run", check=0)
    lab("resume", "run", "steps=3", check=0)
    assert read(tmp_path / "run" / "config.yaml") == config | {"steps": 3}
    assert (tmp_path / "run" / "metrics.jsonl").read_text().startswith(before)
    assert read_summary(tmp_path / "run")["parameters"] == 4208
