"""Promise: a compiled step reads and writes only its own memory, and its threads do not race."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs

SANITIZERS = {
    "address": ("libasan.so", ("-fsanitize=address,undefined",)),
    "thread": ("libtsan.so", ("-fsanitize=thread",)),
}
MODELS = [
    {},
    {
        "layers": 2,
        "heads": 4,
        "attention": ("multihead", {"window": 3, "dropout": 0.2, "kv_heads": 1}),
        "dropout": 0.2,
        "grad_clip": 0.5,
    },
    {"position": ("alibi", {}), "heads": 1, "embed": 3, "mlp": ("moe", {"top_k": 2}), "accumulate": 3},
    {"attention": ("differential", {"window": 1}), "position": ("rope", {}), "optimizer": ("muon", {})},
    {
        "attention": ("linear", {}),
        "position": ("none", {}),
        "loss": ("label_smoothing", {}),
        "embed": 4,
        "heads": 4,
    },
    {
        "mlp": ("glu", {}),
        "block": ("parallel", {}),
        "tie_embeddings": True,
        "bias": True,
        "block_size": 33,
        "logit_softcap": 3.0,
    },
    {
        "attention": ("multihead", {"sinks": True, "value_residual": True, "qk_norm": True}),
        "heads": 1,
        "embed": 2,
        "batch_size": 40,
    },
    {
        "weighting": ("sigmoid", {}),
        "norm": ("layernorm", {"gain": True, "bias": True}),
        "position": ("sinusoidal", {}),
    },
    {"block_size": 1, "embed": 1, "heads": 1, "block": ("sandwich_norm", {}), "optimizer": ("lion", {})},
    {
        "embed": 24,
        "heads": 3,
        "norm": ("dyt", {}),
        "mlp": ("none", {}),
        "block": ("rezero", {}),
        "optimizer": ("adagrad", {}),
    },
    {
        "weighting": ("relu2", {}),
        "final_norm": True,
        "embed_norm": False,
        "block_size": 18,
        "attention": ("multihead", {"window": 9}),
    },
    {
        "batch_size": 1,
        "activation": ("gelu", {}),
        "loss": ("z_loss", {}),
        "optimizer": ("adamw", {}),
        "layers": 3,
    },
]

# Steps with documents of all lengths in one lane and in eight, evaluations, and named tensors. Buffers are
# those that the backend allocates: an array of NumPy ends where its memory does.
SCRIPT = """
import importlib, sys
from microgpt_lab import part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.testing import small_trainer
registry()
c = "microgpt_lab_plugins.backends.c"
build, plan, scan = (importlib.import_module(f"{c}.{name}") for name in ("build", "plan", "scan"))
build.FLAGS = (*(x for x in build.FLAGS if x != "-O2"), "-O0", "-g", "-fno-sanitize-recover=all")
build.FLAGS += tuple(sys.argv[3:])
chosen = {"batch_size": 11} | eval(sys.argv[1])
chosen = {key: part(key, x[0], **x[1]) if isinstance(x, tuple) else x for key, x in chosen.items()}
trainer = small_trainer(part("backend", "c", precision=sys.argv[2]), 64, **chosen)
for worth in (scan.WORTH, 1):
    plan.WORTH = scan.WORTH = worth
    trainer.train_scan.compiled = trainer.loss_scan.compiled = None
    trainer.advance(8)
    for documents in (["anna", "florence", "d"] * 5, ["carolline" * 8, "bo"]):
        trainer.evaluate(documents)
trainer.train_scan.look(trainer.carry, trainer.inputs(0), "logits", "d.logits", "d.embed")
print("clean")
"""


def sanitized(kind, model, precision, *more):
    """Train a model with instrumented code, in a process that loads the sanitizer first."""
    library, flags = SANITIZERS[kind]
    asked = subprocess.run(["cc", f"-print-file-name={library}"], capture_output=True, text=True)
    path = asked.stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"needs {library} of the C compiler")
    env = os.environ | {
        "LD_PRELOAD": path,
        "ASAN_OPTIONS": "detect_leaks=0",  # those of Python
        "TSAN_OPTIONS": "halt_on_error=1:exitcode=66",
        "OMP_NUM_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-P", "-c", SCRIPT, repr(model), precision, *flags, *more]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=range(len(MODELS)))
@pytest.mark.parametrize("kind", SANITIZERS)
def test_sanitizers_find_nothing(kind, model):
    needs("c")
    precision = "float32" if MODELS.index(model) % 3 == 1 else "float64"
    done = sanitized(kind, model, precision)
    assert (done.returncode, done.stdout) == (0, "clean\n"), done.stderr[-3000:]
