"""Export: which runs are a model of transformers, files of weights, and files that are damaged or lie."""

import json
import math
import string
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgpt_lab import UserError
from microgpt_lab.commands.export import main as export
from microgpt_lab.exchange import safetensors
from microgpt_lab.exchange.architectures import architecture_of
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble
from microgpt_lab.run.trained import load_trained


def file(header, numbers=b"", length=None):
    """The bytes of a file of safetensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = file(
    {
        "__metadata__": {"format": "pt", "note": "é"},
        "half": entry("F16", [2], 16, 20),
        "matrix": entry("F64", [2, 1], 0, 16),
        "brain": entry("BF16", [1, 1, 2], 20, 24),
        "none": entry("F32", [0, 3], 24, 24),
        "one": entry("F32", [], 24, 28),
    },
    struct.pack("<2d2e2Hf", 0.1, -2.5e300, 1.5, -0.25, 0x3FC0, 0xC2F7, 0.5),
)


def read(path, content):
    path.write_bytes(content)
    return safetensors.read(path)


def test_a_file_of_every_type_is_read(tmp_path):
    stored = read(tmp_path / "x", GOOD)
    assert stored.tensors == {
        "half": [[1.5, -0.25]],
        "matrix": [[0.1], [-2.5e300]],
        "brain": [[1.5, -123.5]],
        "none": [],
        "one": [[0.5]],
    }
    assert stored.shapes == {"half": (1, 2), "matrix": (2, 1), "brain": (1, 2), "none": (0, 3), "one": (1, 1)}
    assert stored.metadata == {"format": "pt", "note": "é"}


@given(st.data())
def test_a_damaged_file_is_one_line_or_as_large_as_its_shapes(tmp_path_factory, data):
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 30)))
    content = GOOD[:start] + data.draw(st.binary(max_size=10)) + GOOD[end:]
    try:
        stored = read(tmp_path_factory.getbasetemp() / "damaged", content)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        for name, rows in stored.tensors.items():
            assert sum(map(len, rows)) == math.prod(stored.shapes[name])


LIES = {
    "no header": (b"\x08\0\0", "is not a safetensors file, or is cut off: its header does not fit into it"),
    "header of 2^63 bytes": (file({}, length=2**63), "or is cut off: its header does not fit into it"),
    "no JSON": (file(b"{"), "has no valid header of safetensors"),
    "a list": (file([]), "has no valid header of safetensors: expected object, got array"),
    "deep": (file(b'{"x":' + b"[" * 100_000), "has no valid header of safetensors: too deep"),
    "a missing key": (file({"w": {"dtype": "F64"}}), "Object missing required field shape, at $[...]"),
    "metadata of numbers": (file({"__metadata__": {"x": 1}}), "expected str, got int"),
    "an unknown type": (
        file({"w": entry("I64", [1], 0, 8)}, bytes(8)),
        "w has the type I64, not one of F64, F32, F16, BF16",
    ),
    "a negative axis": (file({"w": entry("F64", [-1, -1], 0, 8)}, bytes(8)), "w has the shape [-1, -1]"),
    "larger than the file": (
        file({"w": entry("F64", [10**9, 10**9], 0, 8 * 10**18)}, bytes(8)),
        "has 8 bytes of numbers, where its header says 8,000,000,000,000,000,000",
    ),
    "larger than its place": (
        file({"w": entry("F64", [2], 0, 8)}, bytes(8)),
        "does not lie where its header",
    ),
    "overlapping": (
        file({"a": entry("F64", [1], 0, 8), "b": entry("F64", [1], 4, 12)}, bytes(12)),
        "b does not lie where its header says: the file is damaged",
    ),
    "numbers that nobody owns": (file({}, bytes(8)), "has 8 bytes of numbers, where its header says 0"),
    "a name that moves the cursor": (file({"\x1b[2J": entry("X", [], 0, 0)}), "\\x1b[2J has the type X"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_refused_in_one_line(tmp_path, name):
    content, message = LIES[name]
    with pytest.raises(UserError) as caught:
        read(tmp_path / "x", content)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_shapes_in_a_file_are_compared_before_its_numbers_are_read(tmp_path):
    huge = tmp_path / "huge.safetensors"
    huge.write_bytes(file({"wte": entry("F64", [10**11], 0, 8 * 10**11)}))
    with huge.open("r+b") as sparse:
        sparse.truncate(huge.stat().st_size + 8 * 10**11)  # takes no space on the disk
    with pytest.raises(UserError, match=r"wte is \(1, 100000000000\), but in this model \(27, 16\)"):
        assemble(compose([f"init_from={huge}"]), [string.ascii_lowercase] * 20)
    with pytest.raises(UserError, match="does not exist"):
        safetensors.read(tmp_path / "missing")
    with pytest.raises(UserError, match="is not a regular file"):
        safetensors.read(tmp_path)


BY_HAND = "norm.gain=true position=rope mlp=glu activation=silu embed_norm=false final_norm=true"
FITS = {
    "model=gpt2": "GPT2LMHeadModel",
    "model=gpt2 activation=relu bias=false tie_embeddings=false attention.kv_heads=4": "GPT2LMHeadModel",
    "model=llama": "LlamaForCausalLM",
    f"{BY_HAND} attention.kv_heads=1 attention.head_dim=6 bias=true init=xavier": "LlamaForCausalLM",
    "model=nanochat logit_softcap=0 attention.kv_heads=2": "NanoChatForCausalLM",
}
# What does not fit, the nearest model of transformers, and what it has.
NEAREST = {
    "model=microgpt": (
        "norm=rmsnorm, embed_norm=true, final_norm=false",
        "GPT-2",
        "has norm=layernorm, embed_norm=false, final_norm=true",
    ),
    "model=llama attention.window=8": ("attention.window=8", "Llama", "has attention.window=0"),
    "model=llama norm=layernorm": ("norm=layernorm", "Llama", "has norm=rmsnorm"),
    "model=llama mlp=moe": ("mlp=moe", "Llama", "has mlp=glu"),
    "model=gpt2 attention.sinks=true": ("attention.sinks=true", "GPT-2", "has attention.sinks=false"),
    "model=gpt2 activation=elu": ("activation=elu", "GPT-2", "has no such part"),
    "model=gpt2 activation=leaky_relu activation.slope=0.1": (
        "activation.slope=0.1",
        "GPT-2",
        "has no such part",
    ),
    "model=gpt2 block=parallel": ("block=parallel", "GPT-2", "has block=pre_norm"),
    "model=nanochat bias=true": ("bias=true", "NanoChat", "has bias=false"),
    "model=nanochat position.partial=0.5": ("position.partial=0.5", "NanoChat", "has position.partial=1.0"),
}


@pytest.mark.parametrize("words", FITS)
def test_the_parts_decide_which_model_of_transformers_a_run_is(words):
    assert architecture_of(compose(words.split())).name == FITS[words]


@pytest.mark.thorough
@pytest.mark.parametrize("words", NEAREST)
def test_what_transformers_cannot_express_is_named_in_one_line(words):
    misfits, name, has = NEAREST[words]
    train = "without it" if misfits.count("=") == 1 else "with model=gpt2, llama or nanochat"
    with pytest.raises(UserError) as caught:
        architecture_of(compose(words.split()))
    assert str(caught.value) == (
        f"{misfits}: {name}, the nearest model of transformers, {has}; train {train}, "
        "or write the weights alone with --safetensors FILE"
    )


def test_heads_that_do_not_divide_the_width_are_no_model_of_transformers():
    with pytest.raises(UserError, match="embed=18 is not divisible by heads=4, as transformers requires"):
        architecture_of(compose(["model=llama", "embed=18", "attention.head_dim=4"]))


@pytest.fixture
def run(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab("model=llama", "layers=2", "backend=numpy", "steps=2", "eval_docs=2", "hydra.run.dir=r", check=0)
    return tmp_path / "r"


def test_a_run_is_exported(run, capsys):
    """Twice: its weights alone to the bit, and as a folder for transformers. Nothing is overwritten."""
    pytest.importorskip("safetensors", reason="needs microgpt-lab[export]")
    pytest.importorskip("tokenizers", reason="needs microgpt-lab[export]")
    trained = load_trained(run, print)
    assert export(["r", "--safetensors", "w.safetensors"]) == 0
    stored = safetensors.read(Path("w.safetensors"))
    assert stored.tensors == {name: w.tolist() for name, w in trained.weights.items()}
    facts = json.loads(stored.metadata["microgpt_lab"])
    assert facts == {"config": trained.config, "tokenizer": trained.tokenizer.state_dict()}

    Path("empty").mkdir()
    assert export(["r", "--transformers", "empty"]) == 0
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert {path.name for path in Path("empty").iterdir()} == names | {"tokenizer_config.json"}
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        f"w.safetensors: {len(trained.weights)} tensors",
        "empty: LlamaForCausalLM, with its tokenizer",
    ]

    before = sorted(Path().rglob("*"))
    for arguments, message in {
        ("--safetensors", "w.safetensors"): "w.safetensors exists: write the name of a new file",
        ("--transformers", "empty"): "empty is not empty: write the name of a new folder",
        ("--transformers", "w.safetensors"): "w.safetensors exists: write the name of a new folder",
        ("--safetensors", "no/w"): "no does not exist",
        ("--safetensors", "n" * 300): "File name too long",
        (): "one of the arguments --safetensors --transformers --python --c is required",
    }.items():
        with pytest.raises(UserError, match=message):
            export(["r", *arguments])
    assert sorted(Path().rglob("*")) == before


def test_a_refused_export_leaves_nothing(run, lab, tmp_path):
    lab("steps=0", "samples=0", "backend=numpy", "hydra.run.dir=default", check=0)
    before = sorted(tmp_path.rglob("*"))
    done = lab("export", "default", "--transformers", "d", check=2)
    assert done.stderr.startswith(
        "error: norm=rmsnorm, embed_norm=true, final_norm=false: GPT-2, the nearest"
    )
    code = (
        "import sys; sys.modules['safetensors'] = None; import microgpt_lab.commands as c; sys.exit(c.main())"
    )
    done = lab("export", "r", "--transformers", "d", command=[sys.executable, "-P", "-c", code], check=2)
    assert done.stderr.startswith("error: --transformers is unavailable: pip install ")
    assert sorted(tmp_path.rglob("*")) == before
