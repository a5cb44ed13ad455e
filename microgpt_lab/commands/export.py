"""`python -m microgpt_lab export [RUN]`: write a run for other programs."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from microgpt_lab.commands import RUN, Parser, print_warning
from microgpt_lab.errors import UserError, printable
from microgpt_lab.listing import find
from microgpt_lab.registry.parts import unavailable
from microgpt_lab.run.checkpoint import sync
from microgpt_lab.run.trained import load_trained

# Each format is a module in `exchange` with a function write(trained, path). The path is a FILE or a DIR.
FORMATS = {
    "safetensors": ("FILE", "the weights, under the names of docs/model.md, in float64"),
    "transformers": ("DIR", "a model that AutoModelForCausalLM.from_pretrained(DIR) of Hugging Face loads"),
}


def main(arguments: list[str]) -> int:
    parser = Parser("export", description="Write the model of a run for other programs.")
    parser.add_argument("run", nargs="?", default=find.LAST, metavar="RUN", help=RUN)
    parser.add_argument(
        "--best", action="store_true", help="use the checkpoint with the lowest validation loss"
    )
    formats = parser.add_mutually_exclusive_group(required=True)
    for name, (metavar, sentence) in FORMATS.items():
        formats.add_argument(f"--{name}", metavar=metavar, help=sentence)
    args = parser.parse_args(arguments)
    name, target = next((name, Path(value)) for name in FORMATS if (value := getattr(args, name)) is not None)
    is_folder = FORMATS[name][0] == "DIR"
    check_free(target, is_folder)
    trained = load_trained(find.run_folder(args.run, with_checkpoint=True), print_warning, best=args.best)
    try:
        with new(target, is_folder) as part:
            written = importlib.import_module(f"microgpt_lab.exchange.{name}").write(trained, part)
    except ModuleNotFoundError as error:
        raise UserError(f"--{name} is {unavailable(error)}") from None
    print(printable(f"{target}: {written}"))
    return 0


def check_free(target: Path, is_folder: bool) -> None:
    """Raise UserError if something is at the target. A folder may be there if it is empty."""
    if is_folder and target.is_dir():
        if any(target.iterdir()):
            raise UserError(f"{target} is not empty: write the name of a new folder")
    elif target.exists() or target.is_symlink():
        raise UserError(f"{target} exists: write the name of a new {'folder' if is_folder else 'file'}")
    if not target.absolute().parent.is_dir():
        raise UserError(f"{target.parent} is not a folder")


@contextlib.contextmanager
def new(target: Path, is_folder: bool) -> Iterator[Path]:
    """Yield a path beside the target. What is written there gets the target's name once it is complete."""
    part = target.with_name(f".{target.name}.part")
    try:
        if is_folder:
            part.mkdir()
        yield part
        for path in (*part.iterdir(), part) if is_folder else (part,):
            sync(path)
        part.replace(target)
        sync(target.absolute().parent)
    finally:
        shutil.rmtree(part, ignore_errors=True) if is_folder else part.unlink(missing_ok=True)
