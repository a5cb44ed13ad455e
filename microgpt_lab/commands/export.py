"""`python -m microgpt_lab export [RUN]`: write a run as a program, or for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from microgpt_lab.commands import RUN, Parser, print_warning
from microgpt_lab.commands.target import new
from microgpt_lab.errors import STORAGE_ERRNOS, UserError, printable
from microgpt_lab.exchange import safetensors, transformers
from microgpt_lab.exchange.c_file import c_file
from microgpt_lab.exchange.python_file.write import python_file
from microgpt_lab.listing import find
from microgpt_lab.registry.parts import unavailable
from microgpt_lab.registry.plugins import part
from microgpt_lab.run.beginning import Beginning, load_beginning
from microgpt_lab.run.trained import Trained, load_trained


def write_safetensors(trained: Trained, path: Path) -> str:
    """Write the weights, and the configuration and the tokenizer as metadata."""
    facts = {"config": trained.config, "tokenizer": trained.tokenizer.state_dict()}
    safetensors.write(path, trained.weights, microgpt_lab=json.dumps(facts))
    return f"{len(trained.weights)} tensors"


def write_transformers(trained: Trained, path: Path) -> str:
    """Write a folder for Hugging Face transformers."""
    return transformers.write(path, trained.config, trained.weights, trained.tokenizer)


def write_python(began: Beginning, path: Path) -> str:
    """Write one file of Python that trains as the run did."""
    text = python_file(began.trainer, began.config, began.overrides)
    path.write_text(text, encoding="utf-8")
    return f"{text.count(chr(10)):,} lines"


def write_c(began: Beginning, folder: Path) -> str:
    """Write one file of C that trains as the run did."""
    precision = began.config["backend"].get("precision", "float64")
    began.trainer.backend = part("backend", "c", precision=precision)
    text, steps = c_file(began.trainer, began.config)
    (folder / "microgpt.c").write_text(text, encoding="utf-8")
    of = f" of {began.trainer.steps:,}" if steps < began.trainer.steps else ""
    return f"microgpt.c, {steps:,}{of} steps: cc -O2 microgpt.c -lm"


# By format: what it is written into, a sentence, and the function that writes a run and says what it wrote.
FORMATS = {
    "safetensors": (
        "FILE",
        "the weights in float64, under the names in docs/model.md, with the configuration and the tokenizer",
        write_safetensors,
    ),
    "transformers": (
        "DIR",
        "a model that AutoModelForCausalLM.from_pretrained(DIR) of Hugging Face transformers loads",
        write_transformers,
    ),
}
# The same of programs that train as the run did: they are written from its beginning, not from its weights.
PROGRAMS = {
    "python": (
        "FILE",
        "one file of Python that trains as the run did, made of the parts that the run uses",
        write_python,
    ),
    "c": (
        "DIR",
        "microgpt.c in a new folder: one file of C that trains as the run did, without dependencies",
        write_c,
    ),
}


def main(arguments: list[str]) -> int:
    parser = Parser("export", description="Write a run as a program, or its model for other programs.")
    parser.add_argument("run", nargs="?", default=find.LAST, metavar="RUN", help=RUN)
    parser.add_argument(
        "--best", action="store_true", help="use the checkpoint with the lowest validation loss"
    )
    formats = parser.add_mutually_exclusive_group(required=True)
    for name, (metavar, sentence, _) in (FORMATS | PROGRAMS).items():
        formats.add_argument(f"--{name}", metavar=metavar, help=sentence)
    args = parser.parse_args(arguments)
    name = next(name for name in FORMATS | PROGRAMS if getattr(args, name) is not None)
    (metavar, _, write), given = (FORMATS | PROGRAMS)[name], getattr(args, name)
    if args.best and name in PROGRAMS:
        raise UserError(f"--best has no meaning with --{name}, a program that trains from the start")
    try:
        target, is_folder = Path(given).resolve(), metavar == "DIR"
        check_free(target, is_folder)
        folder = find.run_folder(args.run, with_checkpoint=name in FORMATS)
        run: Any = (
            load_beginning(folder)
            if name in PROGRAMS
            else load_trained(folder, print_warning, best=args.best)
        )
        with new(target, is_folder) as unnamed:
            written = write(run, unnamed)
    except ModuleNotFoundError as error:
        raise UserError(f"--{name} is {unavailable(error)}") from None
    except OSError as error:
        if error.errno in STORAGE_ERRNOS:
            raise
        raise UserError(f"{given}: {error.strerror}") from None
    print(printable(f"{given}: {written}"))
    return 0


def check_free(target: Path, is_folder: bool) -> None:
    """Raise UserError if something is at the target. An empty folder may be there for a folder."""
    if is_folder and target.is_dir():
        if any(target.iterdir()):
            raise UserError(f"{target} is not empty: write the name of a new folder")
    elif target.exists():
        raise UserError(f"{target} exists: write the name of a new {'folder' if is_folder else 'file'}")
    if not target.parent.is_dir():
        raise UserError(f"the folder {target.parent} does not exist")
