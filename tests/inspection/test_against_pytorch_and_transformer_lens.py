"""Views compared with PyTorch's autograd, and with TransformerLens on an exported run, where installed."""

import numpy as np
import pytest
from random_model import HEADS, IDS, TARGETS, T
from replays import explained, less_mean, replayed, row_softmax

from microgpt_lab.exchange import transformers
from microgpt_lab.inspection.attention import heads
from microgpt_lab.inspection.attribution import attribution
from microgpt_lab.inspection.expected import lens
from microgpt_lab.inspection.replay import replay
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.run.trained import Trained

pytestmark = pytest.mark.slow


def close(found, expected):
    found, expected = (getattr(x, "tolist", lambda x=x: x)() for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def forward(torch, w, norms):
    """The default model, two layers: patterns, the residual stream at each place, losses."""
    F = torch.nn.functional
    norm = lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-5)  # noqa: E731
    x = norm(w["wte"][IDS] + w["position.wpe"][:T])
    patterns, stream = [], [x]
    for i in range(2):
        own = {name: w[f"layer{i}.attention.{name}"] for name in ("wq", "wk", "wv", "wo")}
        q, k, v = ((norm(x) @ own[n].T).view(T, HEADS, -1).transpose(0, 1) for n in ("wq", "wk", "wv"))
        scores = q @ k.mT / q.shape[-1] ** 0.5
        hidden = torch.ones(T, T).triu(1).bool()
        patterns.append(scores.masked_fill(hidden, -torch.inf).softmax(-1))
        x = x + (patterns[-1] @ v).transpose(0, 1).reshape(T, -1) @ own["wo"].T
        stream.append(x)
        x = x + F.relu(norm(x) @ w[f"layer{i}.mlp.fc1"].T) @ w[f"layer{i}.mlp.fc2"].T
        stream.append(x)
    losses = F.cross_entropy(x @ w["lm_head"].T, torch.tensor(TARGETS), reduction="none")
    return patterns, stream, losses


def test_patterns_the_lens_and_gradients_equal_pytorchs(torch):
    found, look = replayed("two layers")
    w = {name: torch.tensor(x, requires_grad=True) for name, x in look.w.items()}
    patterns, stream, losses = forward(torch, w, None)
    for head in heads(found, explained("two layers")):
        close(head.pattern, patterns[head.layer][head.head].detach())
    for rows, x in zip(lens(found).probabilities, stream, strict=True):
        close(rows, (x @ w["lm_head"].T).softmax(-1).detach())
    losses.mean().backward(retain_graph=True)
    for name, each in found.weights.items():
        close([x.grad for x in each.data], w[name].grad.ravel())
    for t in (0, T - 1):
        grads = torch.autograd.grad(losses[t] / T, list(w.values()), retain_graph=True)
        for name, grad in zip(w, grads, strict=True):
            rows = found.gradients_by_prediction(found.weights[name].data)
            close([row[t] for row in rows], grad.ravel())


TEXT = "the cat sat"


@pytest.fixture
def exported(torch, tmp_path):
    """A gpt2 model with random weights in TransformerLens, and its replay."""
    lens = pytest.importorskip(
        "transformer_lens.model_bridge", reason="needs transformer_lens, which needs PyTorch"
    )
    config = compose(["model=gpt2", "layers=2", "embed=24", "heads=4", "block_size=12"])
    from microgpt_lab import GPT
    from microgpt_lab.registry.parts import options_of
    from microgpt_lab.run.assemble import build

    tokenizer = build("tokenizer", config["tokenizer"])
    tokenizer.learn([TEXT], sorted(set(TEXT)))
    parts = {kind: build(kind, config[kind]) for kind in MODEL_KINDS}
    model = GPT(len(tokenizer.tokens) + 1, **parts, **{key: config[key] for key in options_of(GPT)})
    rng, backend = np.random.default_rng(0), build("backend", {"name": "numpy"})
    sizes = {
        name: (len(each), len(each[0])) if isinstance(each, list) else (each.out, each.in_)
        for name, each in model.declared.items()
    }
    weights = {name: backend.tensor(rng.normal(0, 0.4, size).tolist()) for name, size in sizes.items()}
    ours = Trained(config, model, weights, tokenizer, [len(tokenizer.tokens)])
    transformers.write(tmp_path, config, weights, tokenizer)
    bridge = lens.TransformerBridge.boot_transformers(str(tmp_path), device="cpu", dtype=torch.float64)
    return bridge, replay(ours, TEXT)


def test_patterns_and_attribution_equal_transformer_lens(torch, exported):
    """Both hold the scale of the final norm: there, it is called `apply_ln_to_stack`."""
    bridge, found = exported
    logits, cache = bridge.run_with_cache(torch.tensor([found.ids]), remove_batch_dim=True)
    close(found.logits, logits[0])
    for head in heads(found):
        close(head.pattern, cache["pattern", head.layer][head.head])
    whole = attribution(found)
    sums = {name: sum(np.array(e.logits) for e in entries) for name, entries in whole.by_name().items()}

    def shares(terms):
        scaled = cache.apply_ln_to_stack(terms, layer=-1, has_batch_dim=False)
        return less_mean(((scaled * bridge.ln_final.w) @ bridge.W_U).detach().numpy())

    parts = ("embed", "pos_embed", ("mlp_out", 0), ("mlp_out", 1))
    names = ("token", "position", "layer0 MLP", "layer1 MLP")
    close([sums[name] for name in names], shares(torch.stack([cache[part] for part in parts])))
    results, labels = cache.stack_head_results(layer=-1, return_labels=True)
    assert labels[5] == "L1H1"
    close([sums[f"layer{i} head {h}"] for i in (0, 1) for h in range(4)], shares(results))


def test_the_lens_is_that_of_accumulated_residual_streams(torch, exported):
    bridge, found = exported
    _, cache = bridge.run_with_cache(torch.tensor([found.ids]), remove_batch_dim=True)
    streams = cache.accumulated_resid(layer=-1, incl_mid=True)
    scaled = cache.apply_ln_to_stack(streams, layer=-1, has_batch_dim=False, recompute_ln=True)
    close(lens(found).probabilities, row_softmax((scaled @ bridge.W_U).detach().numpy()))
