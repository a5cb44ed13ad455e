"""Default values, as in the papers, microgpt.py or the documentation.

A changed default changes the results of all users who rely on it, so it must be changed here, too.
"""

from microgpt_lab import GPT, Corpus, Trainer
from microgpt_lab.options.budget import Budget
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry

HEADS = {"kv_heads": 0, "window": 0, "window_pattern": "", "qk_norm": False, "qk_gain": False}
HEADS |= {"head_dim": 0, "dropout": 0.0}

PARTS = {
    "activation=elu": {"alpha": 1.0},
    "activation=gelu": {"approximate": "none"},
    "activation=leaky_relu": {"slope": 0.01},
    "attention=differential": HEADS,
    "attention=multihead": HEADS | {"sinks": False, "value_residual": False},
    "backend=c": {"precision": "float64"},
    "backend=jax": {"precision": "float64"},
    "backend=numpy": {"precision": "float64"},
    "block=rezero": {"start": 0.0},
    "callback=checkpoint": {"every": 0, "seconds": 10.0, "best": False},
    "callback=console": {"seconds": 10.0, "live": False},
    "callback=early_stopping": {"patience": 3, "min_delta": 0.0},
    "callback=samples": {"number": 5},
    "callback=watch": {"numbers": "wte:0:0", "every": 20},
    "callback=tensorboard": {"histograms": False, "every": 0},
    "dataset=arithmetic": {"operation": "+", "digits": 2, "modulus": 0},
    "dataset=huggingface": {"repo": "", "column": "text", "config": "", "documents": 0},
    "dataset=icelandic_names": {"transliterate": False},
    "dataset=karpathy_names": {"path": ""},
    "dataset=python_stdlib": {"max_length": 60},
    "dataset=reverse": {"documents": 10000, "length": 5, "letters": "abcdefgh"},
    "dataset=text": {"path": "", "unit": "lines", "column": "", "validation": "", "test": ""},
    "dataset=tiny_shakespeare": {"path": ""},
    "init=gpt2": {"std": 0.02, "zero": False},
    "init=normal": {"std": 0.08, "zero": False},
    "init=orthogonal": {"gain": 1.0, "zero": False},
    "init=xavier": {"gain": 1.0, "zero": False},
    "loss=label_smoothing": {"amount": 0.1},
    "loss=z_loss": {"weight": 1e-4},
    "mlp=glu": {"ratio": 8 / 3},
    "mlp=mlp": {"ratio": 4.0},
    "mlp=moe": {"experts": 4, "top_k": 1, "ratio": 1.0, "balance": 0.01},
    "norm=dyt": {"alpha": 0.5, "affine": True},
    "norm=layernorm": {"eps": 1e-5, "gain": False, "bias": False},
    "norm=rmsnorm": {"eps": 1e-5, "gain": False},
    "optimizer=adagrad": {"lr": 0.05, "eps": 1e-10},
    "optimizer=adam": {"lr": 0.01, "beta1": 0.85, "beta2": 0.99, "eps": 1e-8},
    "optimizer=adamw": {
        "lr": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.01,
        "decay": "all",
        "embedding_lr_mult": 1.0,
        "head_lr_mult": 1.0,
        "scale_lr_mult": 1.0,
    },
    "optimizer=lion": {"lr": 0.002, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    "optimizer=muon": {
        "lr": 0.02,
        "momentum": 0.95,
        "weight_decay": 0.0,
        "adam_lr": 0.01,
        "beta1": 0.9,
        "beta2": 0.95,
        "eps": 1e-8,
    },
    "optimizer=rmsprop": {"lr": 0.003, "rho": 0.99, "eps": 1e-8},
    "optimizer=sgd": {"lr": 0.1, "momentum": 0.0, "nesterov": False},
    "position=rope": {"base": 100.0, "partial": 1.0},
    "position=sinusoidal": {"base": 10000.0},
    "sampler=multinomial": {"temperature": 0.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0},
    "scheduler=constant": {"warmup": 0.0},
    "scheduler=cosine": {"warmup": 0.0, "final": 0.0},
    "scheduler=exponential": {"warmup": 0.0, "final": 0.01},
    "scheduler=inverse_sqrt": {"warmup": 0.1},
    "scheduler=linear": {"warmup": 0.0, "final": 0.0},
    "scheduler=one_cycle": {"peak": 0.3, "start": 0.04, "final": 0.0001},
    "scheduler=step": {"warmup": 0.0, "every": 0.3, "gamma": 0.1},
    "scheduler=wsd": {"warmup": 0.05, "decay": 0.2, "final": 0.0},
    "tokenizer=bpe": {"vocab_size": 256},
}

RUN = {
    GPT: {
        "layers": 1,
        "heads": 4,
        "embed": 16,
        "block_size": 16,
        "tie_embeddings": False,
        "embed_norm": True,
        "final_norm": False,
        "bias": False,
        "logit_softcap": 0.0,
        "embed_scale": 1.0,
    },
    Budget: {"match": "none", "match_free": "mlp.ratio", "match_reference": ""},
    Corpus: {
        "split": "zero2hero",
        "train_docs": 0,
        "long_docs": "truncate",
        "block_size": 16,
        "eval_stride": 0,
        "seed": 42,
    },
    Trainer: {
        "steps": 1000,
        "batch_size": 1,
        "accumulate": 1,
        "eval_every": 100,
        "eval_docs": 200,
        "dropout": 0.0,
        "grad_clip": 0.0,
        "seed": 42,
    },
    Trainer.sample: {"samples": 20},
}


def defaults(options):
    return {name: option.default for name, option in options.items()}


def test_parts_have_the_documented_defaults():
    ours = (p for p in registry().parts.values() if p.provider.startswith("microgpt_lab_plugins."))
    assert {f"{p.kind}={p.name}": defaults(p.options) for p in ours if p.options} == PARTS


def test_a_run_has_the_documented_defaults():
    assert {owner: defaults(options_of(owner)) for owner in RUN} == RUN
