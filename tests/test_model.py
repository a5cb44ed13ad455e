"""The GPT: its gradients, its cache, its causal attention, and sampling."""

import random

import pytest

from microgpt_lab import GPT, part
from microgpt_lab.core.cache import Cache
from microgpt_lab.core.sampler import Continuation, Multinomial
from microgpt_lab.testing import assert_gradients, tensor

IDS, TARGETS = [4, 0, 2, 1, 3], [0, 2, 1, 3, 4]


def small_model(**options):
    norm = options.pop("norm", part("norm", "layernorm", gain=True, bias=True))
    init = options.pop("init", part("init", "normal", std=0.5))
    sizes = {"layers": 2, "heads": 2, "embed": 4, "block_size": 6} | options
    model = GPT(5, part("activation", "gelu"), norm, init=init, **sizes)
    return model, {name: tensor(rows) for name, rows in model.initial_weights(random.Random(1)).items()}


@pytest.mark.parametrize("tie", [False, True])
def test_gradients_of_the_whole_model_equal_central_differences(tie):
    model, weights = small_model(tie_embeddings=tie)
    names = list(weights)
    assert_gradients(lambda *w: model.nll(dict(zip(names, w, strict=True)), IDS, TARGETS), *weights.values())


@pytest.mark.parametrize("norm", ["rmsnorm", "layernorm", "dyt", "none"])
def test_cached_and_plain_logits_agree(norm):
    model, weights = small_model(norm=part("norm", norm))
    plain = model.logits(weights, IDS).tolist()
    cache, rows = Cache(), []
    for ids in (IDS[:2], IDS[2:3], IDS[3:]):  # several tokens at once, or a single one
        rows += model.logits(weights, ids, cache).tolist()
    for expected, row in zip(plain, rows, strict=True):
        assert row == pytest.approx(expected, rel=1e-12)


def test_logits_do_not_depend_on_later_tokens():
    model, weights = small_model()
    before = model.logits(weights, IDS).tolist()
    after = model.logits(weights, [*IDS[:-1], 0]).tolist()
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def test_tied_embeddings_share_one_matrix():
    assert "lm_head" not in small_model(tie_embeddings=True)[1]


def test_zero_init_draws_as_many_random_numbers():
    rngs = random.Random(3), random.Random(3)
    plain, zero = (
        small_model(init=part("init", "normal", zero=zero))[0].initial_weights(rng)
        for zero, rng in zip((False, True), rngs, strict=True)
    )
    assert rngs[0].getstate() == rngs[1].getstate()
    assert not any(x for name in ("layer0.attention.wo", "layer1.mlp.fc2") for row in zero[name] for x in row)
    assert plain["layer1.mlp.fc1"] == zero["layer1.mlp.fc1"]


@pytest.mark.parametrize("wrong", [{"embed": 5}, {"layers": 0}, {"heads": 0}, {"block_size": -1}])
def test_impossible_sizes_are_an_error(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        small_model(**wrong)


def test_loss_and_gradients_equal_pytorch():
    torch = pytest.importorskip(
        "torch", reason="the optional check against PyTorch needs microgpt-lab[torch]"
    )
    model, weights = small_model(norm=part("norm", "rmsnorm"))
    leaves = {name: w.tracked() for name, w in weights.items()}
    loss = model.nll(leaves, IDS, TARGETS).total()
    loss.backward()
    w = {
        name: torch.tensor(x.tolist(), dtype=torch.float64, requires_grad=True) for name, x in weights.items()
    }

    def norm(x):
        return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5) ** -0.5

    x = norm(w["wte"][IDS] + w["position.wpe"][: len(IDS)])
    for i in range(2):
        h = norm(x)
        q, k, v = (
            (h @ w[f"layer{i}.attention.{n}"].T).view(-1, 2, 2).transpose(0, 1) for n in ("wq", "wk", "wv")
        )
        y = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + y.transpose(0, 1).reshape(-1, 4) @ w[f"layer{i}.attention.wo"].T
        x = x + torch.nn.functional.gelu(norm(x) @ w[f"layer{i}.mlp.fc1"].T) @ w[f"layer{i}.mlp.fc2"].T
    expected = torch.nn.functional.cross_entropy(x @ w["lm_head"].T, torch.tensor(TARGETS), reduction="sum")
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for name, leaf in leaves.items():
        assert [x.grad for x in leaf.data] == pytest.approx(
            w[name].grad.flatten().tolist(), rel=1e-9, abs=1e-12
        )


def test_generation_stops_at_the_block_size():
    model, weights = small_model()
    text = Continuation(model, weights, [4], stop=-1)
    assert len(Multinomial()(text, random.Random(0))) == model.block_size
