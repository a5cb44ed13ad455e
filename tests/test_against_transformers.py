"""Presets compared with the models of Hugging Face transformers, with random weights: no downloads."""

import math
from random import Random

import numpy as np
import pytest

from microgpt_lab import GPT, part
from microgpt_lab.exchange import safetensors, transformers
from microgpt_lab.exchange.architectures import architecture_of
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run.assemble import build
from microgpt_lab.run.trained import Trained

pytestmark = pytest.mark.slow

SIZES = ["layers=3", "embed=24", "heads=4", "block_size=12"]
CASES = {
    "gpt2": ["model=gpt2"],
    "gpt2 untied": ["model=gpt2", "tie_embeddings=false", "mlp.ratio=2", "activation.approximate=none"],
    "gpt2 without gains and biases": ["model=gpt2", "bias=false", "norm.gain=false", "norm.bias=false"],
    "gpt2 with silu": ["model=gpt2", "activation=silu", "norm.eps=0.01"],
    "llama": ["model=llama"],
    "llama with two groups": ["model=llama", "attention.kv_heads=2", "position.base=500000"],
    "llama with one group": ["model=llama", "attention.kv_heads=1", "tie_embeddings=true", "bias=true"],
    "llama with wide heads": ["model=llama", "attention.head_dim=10", "activation=gelu", "mlp.ratio=2"],
    "llama without gains": ["model=llama", "norm.gain=false"],
    "nanochat": ["model=nanochat"],
    "nanochat with two groups": ["model=nanochat", "attention.kv_heads=2", "position.base=10000"],
    "nanochat without a limit": [
        "model=nanochat",
        "logit_softcap=0",
        "tie_embeddings=true",
        "activation=relu",
    ],
}
TEXT = "the cat sat"
BACKEND = part("backend", "numpy")


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    """PyTorch in double precision, also where transformers computes in single: norms, RoPE and softmax."""
    torch = pytest.importorskip("torch", reason="needs microgpt-lab[transformers]")
    pytest.importorskip("transformers", reason="needs microgpt-lab[transformers]")
    single = torch.float32
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch, "float", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(single)


def trained(words, documents=(TEXT,)):
    """A model with random weights, as a run would leave it, whose tokenizer has learned the documents."""
    config = compose([*SIZES, *words])
    tokenizer = build("tokenizer", config["tokenizer"])
    if not tokenizer.tokens:
        tokenizer.learn(documents, sorted(set("".join(documents))))
    parts = {kind: build(kind, config[kind]) for kind in MODEL_KINDS}
    vocabulary = len(tokenizer.tokens) + 1
    model = GPT(vocabulary, **parts, **{key: config[key] for key in options_of(GPT)})
    rng, shapes = np.random.default_rng(0), {}
    for name, each in model.declared.items():
        shapes[name] = (len(each), len(each[0])) if isinstance(each, list) else (each.out, each.in_)
    weights = {name: BACKEND.tensor(rng.normal(0, 0.4, shape).tolist()) for name, shape in shapes.items()}
    return Trained(config, model, weights, tokenizer, [vocabulary - 1])


def loaded(ours, folder):
    from transformers import AutoModelForCausalLM

    folder.mkdir(exist_ok=True)
    transformers.write(folder, ours.config, ours.weights, ours.tokenizer)
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", local_files_only=True)


def by_their_names(ours, weights):
    arrays = {name: np.array(w.tolist()) for name, w in weights.items()}
    return architecture_of(ours.config).weights(ours.config, arrays)


def loss_and_gradients(ours, weights, ids):
    def loss(w):
        return ours.model.nll(w, ids[:-1], ids[1:]).total() / (len(ids) - 1)

    return BACKEND.value_and_grad(loss, weights)


@pytest.mark.parametrize("name", CASES)
def test_logits_loss_and_gradients_equal_those_of_transformers(torch, tmp_path, name):
    ours = trained(CASES[name])
    theirs = loaded(ours, tmp_path / "model")
    ids = [ours.bos, *ours.tokenizer.encode(TEXT)]
    found = theirs(input_ids=torch.tensor([ids]), labels=torch.tensor([ids]))
    logits = np.array(ours.model.logits(ours.weights, ids).tolist())
    close(found.logits[0].detach(), logits)
    loss, gradients = loss_and_gradients(ours, ours.weights, ids)
    close(found.loss.item(), loss.item())
    found.loss.backward()
    named = dict(theirs.named_parameters())
    for key, gradient in by_their_names(ours, gradients).items():
        ours_lacks_it = "without gains" in name and (key.endswith("bias") or "ln_" in key or "norm" in key)
        if not ours_lacks_it:
            close(named[key].grad, gradient, key)


@pytest.mark.parametrize("name", ["gpt2", "llama with two groups", "nanochat"])
def test_three_steps_of_adamw_give_the_weights_that_pytorch_gives(torch, tmp_path, name):
    ours = trained(CASES[name])
    theirs = loaded(ours, tmp_path / "model")
    # The gradient of a bias of keys is 0 but for rounding, which a smaller eps would magnify.
    settings = {"lr": 0.02, "eps": 1e-6, "weight_decay": 0.1}
    optimizer = part("optimizer", "adamw", beta1=0.8, beta2=0.95, **settings)
    adamw = torch.optim.AdamW(theirs.parameters(), betas=(0.8, 0.95), **settings)
    weights, states = ours.weights, {name: optimizer.init(w) for name, w in ours.weights.items()}
    for step, text in enumerate(("the cat", "sat the", "at the cats")):
        ids = [ours.bos, *ours.tokenizer.encode(text)]
        adamw.zero_grad()
        theirs(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.backward()
        adamw.step()
        gradients = loss_and_gradients(ours, weights, ids)[1]
        updated = {
            key: optimizer.update(gradients[key], states[key], w, optimizer.lr, step, ours.model.roles[key])
            for key, w in weights.items()
        }
        weights, states = ({key: pair[i] for key, pair in updated.items()} for i in (0, 1))
    for key, w in by_their_names(ours, weights).items():
        close(dict(theirs.named_parameters())[key].detach(), w, key)


@pytest.mark.parametrize("name", ["gpt2 untied", "llama with two groups", "nanochat"])
def test_greedy_texts_equal_those_of_transformers(torch, tmp_path, name):
    ours = trained(CASES[name])
    theirs = loaded(ours, tmp_path / "model")
    greedy, lengths = part("sampler", "greedy"), set()
    for prompt in ("", "the", "cat s", "a"):
        new = greedy(ours.continuation(prompt), Random(0))
        ids = [*ours.start, *ours.tokenizer.encode(prompt)]
        found = theirs.generate(torch.tensor([ids]), do_sample=False)[0].tolist()
        ended = [ours.bos] if len(ids) + len(new) <= ours.model.block_size else []
        assert found == [*ids, *new, *ended]
        lengths.add(len(new))
    assert max(lengths) > 3


def nanochat(torch, w, config, ids):
    """The logits of nanochat as its first release computes them (October 2025), with weights of this name."""
    F, heads, T = torch.nn.functional, config["heads"], len(ids)
    kv_heads, D = config["attention"]["kv_heads"] or heads, config["embed"] // heads
    angles = torch.outer(torch.arange(T), config["position"]["base"] ** (-torch.arange(0, D, 2) / D))
    cos, sin = angles.cos(), angles.sin()

    def norm(x):
        return x / (x.square().mean(-1, keepdim=True) + config["norm"]["eps"]).sqrt()

    def rotate(x):
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos + b * sin, b * cos - a * sin], -1)

    x = norm(w["model.embed_tokens.weight"][ids])
    for i in range(config["layers"]):
        q, k, v, o = (w[f"model.layers.{i}.self_attn.{name}_proj.weight"] for name in "qkvo")
        y = norm(x)
        q = norm(rotate((y @ q.T).view(T, heads, D).transpose(0, 1)))
        k = norm(rotate((y @ k.T).view(T, kv_heads, D).transpose(0, 1)))
        v = (y @ v.T).view(T, kv_heads, D).transpose(0, 1)
        k, v = (each.repeat_interleave(heads // kv_heads, 0) for each in (k, v))
        scores = (q @ k.transpose(1, 2) / math.sqrt(D)).masked_fill(
            ~torch.ones(T, T).tril().bool(), -math.inf
        )
        x = x + (scores.softmax(-1) @ v).transpose(0, 1).reshape(T, -1) @ o.T
        fc1, fc2 = (w[f"model.layers.{i}.mlp.{name}.weight"] for name in ("fc1", "fc2"))
        x = x + F.relu(norm(x) @ fc1.T).square() @ fc2.T
    return 15 * torch.tanh(norm(x) @ w["lm_head.weight"].T / 15)


@pytest.mark.parametrize("name", ["nanochat", "nanochat with two groups"])
def test_nanochat_equals_its_published_formula(torch, name):
    ours = trained(CASES[name])
    ids = [ours.bos, *ours.tokenizer.encode(TEXT)]
    w = {key: torch.tensor(x.copy()) for key, x in by_their_names(ours, ours.weights).items()}
    close(nanochat(torch, w, ours.config, ids), np.array(ours.model.logits(ours.weights, ids).tolist()))


TEXTS = (
    "the cat",
    "",
    "  h\n\nt\t ",
    "<|bos|>e\u0301",
    "é日",
    "a cat sat, the\x1c\x85 cat² sat\u2028\u00a0①_1 the ",
)


@pytest.mark.parametrize("words", ["char", "byte", "bpe tokenizer.vocab_size=60"])
@pytest.mark.parametrize("model", ["gpt2", "nanochat"])
def test_the_tokenizer_of_transformers_gives_the_same_ids_and_text(tmp_path, model, words):
    from transformers import AutoTokenizer

    ours = trained([f"model={model}", *f"tokenizer={words}".split()], [*TEXTS, "the cat sat " * 9])
    transformers.write(tmp_path, ours.config, ours.weights, ours.tokenizer)
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in TEXTS:
        ids = ours.tokenizer.encode(text)
        assert theirs.encode(text, add_special_tokens=False) == ids
        assert theirs(text)["input_ids"] == [ours.bos, *ids]
        assert theirs.decode(ids) == text == theirs.decode([ours.bos, *ids], skip_special_tokens=True)
    assert theirs.bos_token_id == theirs.eos_token_id == ours.bos == len(theirs) - 1


def test_the_library_reads_what_we_write_and_the_other_way_round(torch, tmp_path):
    from safetensors.torch import load_file, save_file

    ours = trained(["model=microgpt"])
    safetensors.write(tmp_path / "ours", ours.weights)
    found = load_file(tmp_path / "ours")
    assert found.keys() == ours.weights.keys()
    assert all(found[name].tolist() == w.tolist() for name, w in ours.weights.items())
    tensors = {str(t): torch.randn(3, 5).to(t) for t in (torch.float64, torch.float16, torch.bfloat16)}
    save_file(tensors, tmp_path / "theirs")
    stored = safetensors.read(tmp_path / "theirs").tensors
    assert all(stored[name] == x.double().tolist() for name, x in tensors.items())


def close(found, expected, name=""):
    found = getattr(found, "tolist", lambda: found)()  # NumPy and PyTorch do not know each other's arrays
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10, err_msg=name)
