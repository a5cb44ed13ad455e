"""Write a run as one file of Python: from the sources of its parts to the text."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError, printable
from microgpt_lab.exchange.python_file import collect, modules
from microgpt_lab.exchange.python_file.calls import (
    propagated,
    remove_parameters,
    substitute_name,
    without_identities,
    without_unknown_keywords,
    without_wrappers,
)
from microgpt_lab.exchange.python_file.data import documents_of, documents_text, vocabulary_text
from microgpt_lab.exchange.python_file.fold import folded
from microgpt_lab.exchange.python_file.layout import WIDTH, described, laid_out, options_in
from microgpt_lab.exchange.python_file.modules import Symbol
from microgpt_lab.exchange.python_file.program import SIZES, part, program, settings
from microgpt_lab.exchange.python_file.source import Source, functions, is_load, walk
from microgpt_lab.exchange.python_file.sweep import defined, swept
from microgpt_lab.exchange.python_file.trace import methods_called
from microgpt_lab.registry.hookspecs import MODEL_KINDS

KINDS = (*MODEL_KINDS, "optimizer", "scheduler", "tokenizer", "sampler")
USED = {
    "GPT": "core.model",
    "Tensor": "tensors.tensor",
    "Continuation": "core.sampler",
    "Dropout": "core.backend",
    "encoded": "core.streams",
    "random_windows": "core.streams",
}
IMPORTS = ["import gc", "import math", "from functools import partial", "from random import Random"]
MARK = "# --- {} ---\n"


def python_file(trainer: Trainer, config: dict[str, Any], overrides: Sequence[str]) -> str:
    """Return the text of the file. UserError if the run uses what cannot be in it.

    trainer: the trainer of the run, before its first step.
    config: the configuration of the run.
    overrides: what was written on its command line.
    """
    documents = documents_text(documents_of(trainer))
    vocabulary = vocabulary_text(trainer.corpus.tokenizer.state_dict())
    head = f'"""{introduction(config, overrides)}"""\n\nfrom __future__ import annotations\n\n'
    return f"{head}{code(trainer, config)}\n\n{vocabulary}\n{documents}\nif __name__ == \"__main__\":\n    main()\n"


def code(trainer: Trainer, config: dict[str, Any]) -> str:
    """Return the text of the file without its introduction and its data."""
    parts = {kind: symbol_of(kind, config) for kind in KINDS}
    core = [Symbol(f"microgpt_lab.{origin}", name) for name, origin in USED.items()]
    found = collect.needed([*core, *parts.values()], {symbol.module: kind for kind, symbol in parts.items()})
    definitions = collect.ordered(found)
    names, imports = collect.output_names(definitions, core)
    of_kind = {kind: names[symbol] for kind, symbol in parts.items()}
    text = "\n\n".join(
        [
            "\n".join(sorted({*imports, *IMPORTS})),
            settings(trainer, config),
            collect.assembled(definitions, names),
            program(trainer, config, of_kind),
            "VOCABULARY = DOCUMENTS = None\n",
            'if __name__ == "__main__":\n    main()\n',
        ]
    )
    options = options_in(text)
    text = specialized(text, trainer, config, of_kind)
    wrappers = {names[s] for s in found if s.module == "microgpt_lab.core.ops" and names[s] != s.name}
    text = without_wrappers(swept(text), wrappers)
    if getattr(trainer.model.attention, "kv_heads", 0) in (0, trainer.model.heads):
        text = without_identities(text, {names[Symbol("microgpt_lab.core.derived", "repeat_heads")]})
    text = simplified(text, attributes_of(trainer, text))
    text = simplified(text, {}, methods_called(text, trainer.corpus))
    text = described(with_imports(text), options)
    text = with_sections(text, {names[each.symbol]: section_of(each.place[0]) for each in definitions})
    text = with_short_names(text, {names[each.symbol]: each.symbol.name for each in definitions})
    return laid_out(text[: text.index("VOCABULARY = ")])


def symbol_of(kind: str, config: dict[str, Any]) -> Symbol:
    """Return where the run's part of this kind is defined. UserError if it is not in a file of its own."""
    make, _ = part(kind, config)
    modules.OURS.add(make.__module__.partition(".")[0])
    if make.__name__ not in modules.module(make.__module__).definitions:
        raise UserError(
            f"{kind}={config[kind]['name']} cannot be exported: it is not a function or class at the top "
            f"level of {make.__module__}"
        )
    return Symbol(make.__module__, make.__name__)


def simplified(
    text: str, attributes: dict[str, dict[str, Any]], called: set[tuple[str, str]] | None = None
) -> str:
    """Simplify a text until nothing changes. See `fold` and `sweep` for the arguments."""
    before = ""
    while text != before:
        before = text
        text = folded(text, attributes)
        while text != (text := propagated(text, attributes)):
            pass
        text = without_identities(text)
        text = swept(without_unknown_keywords(text), called)
    return text


def attributes_of(trainer: Trainer, text: str) -> dict[str, dict[str, Any]]:
    """Return the attributes of the model, its parts and the optimizer, by class, that conditions may depend on.

    Sizes are not among them, so that they can be changed in the file; nor what is assigned more than once.
    """
    model, tree = trainer.model, ast.parse(text)
    stores = Counter(n.attr for n in walk(tree) if isinstance(n, ast.Attribute) and not is_load(n))
    parts = [getattr(model, kind) for kind in MODEL_KINDS]
    found: dict[str, dict[str, Any]] = {}
    for each in (model, *parts, trainer.optimizer, trainer.scheduler, trainer.sampler):
        for class_ in type(each).__mro__ if hasattr(each, "__dict__") else ():
            mine = found.setdefault(class_.__name__, {})
            for name, value in vars(each).items():
                plain = value is None or isinstance(value, (bool, int, float, str)) or value in ((), [], {})
                if plain and name not in SIZES and stores[name] < 2:
                    mine[name] = value
    found["GPT"] |= {kind: getattr(model, kind) for kind in MODEL_KINDS}
    if not any(model.tables.values()):
        found["GPT"]["tables"] = found["Wiring"]["tables"] = {}
    found["Wiring"] = found["GPT"]
    return found


def specialized(text: str, trainer: Trainer, config: dict[str, Any], names: dict[str, str]) -> str:
    """Return the text without parameters of parts that the run gives no weight, and options of functions."""
    model = trainer.model
    declared = {kind: {own for own, *_ in model.names.get(f"layer0.{kind}", ())} for kind in MODEL_KINDS}
    declared["position"] = {own for own, *_ in model.names.get("position", ())}
    declared["norm"] = {own for path in model.names if "norm" in path for own, *_ in model.names[path]}
    for kind, tables in model.tables.items():
        declared[kind] |= tables.keys()
    source = Source(text)
    for owner, function in functions(source.tree):
        for kind, name in names.items():
            if owner and owner.name == name and kind in ("position", "attention", "mlp", "norm", "block"):
                if function.name in ("__call__", "embed", "rotate", "bias"):
                    never = {p for p, default in optional(function) if default is None} - declared[kind]
                    leave_out(source, function, dict.fromkeys(never))
            elif not owner and function.name == name:
                _, options = part(kind, config)
                fixed = {k: v for k, v in options.items() if isinstance(v, bool | str)}
                leave_out(source, function, fixed)
        if owner and owner.name == "Wiring" and function.name == "__post_init__":
            settle(source, function, model)
        if owner and owner.name == "GPT":
            required = [f for f in owner.body if isinstance(f, ast.AnnAssign) and f.value]
            for field in required:
                if ast.unparse(field.target) in MODEL_KINDS:
                    assert field.value
                    source.replace((source.span(field.annotation)[1], source.span(field.value)[1]), "")
    return source.edited()


def settle(source: Source, function: Any, model: Any) -> None:
    """Write down what the constructor of a model finds out about its parts."""
    values = {
        "norms": repr(model.norms).replace("'", '"'),
        "aux_losses": repr(model.aux_losses).replace("'", '"'),
        "head_dim": str(getattr(model.attention, "head_dim", 0) or "self.embed // self.heads"),
    }
    for node in function.body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Attribute):
            if target.attr in values:
                source.replace(source.span(node), f"{source.text(target)} = {values.pop(target.attr)}")
            elif target.attr in ("norms", "aux_losses", "head_dim"):
                source.remove([node], function.body)


def optional(function: Any) -> list[tuple[str, Any]]:
    """Return the parameters that have a constant as default."""
    a = function.args
    pairs = [*zip(reversed(a.args), reversed(a.defaults)), *zip(a.kwonlyargs, a.kw_defaults)]
    return [(each.arg, value.value) for each, value in pairs if isinstance(value, ast.Constant)]


def leave_out(source: Source, function: Any, values: dict[str, Any]) -> None:
    """Remove parameters of a function, and put their values where they are used."""
    if values:
        remove_parameters(source, function, set(values))
        for name, value in values.items():
            for each in function.body:
                substitute_name(source, each, name, value)


def with_imports(text: str) -> str:
    """Put the imports in order, those of a module together, without any that nothing uses.

    UserError for one of a package that the file must not need.
    """
    source = Source(text)
    used = {node.id for node in walk(source.tree) if isinstance(node, ast.Name)}
    modules_, names = [], defaultdict(list)
    for node in walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            each = node.names[0]
            origin = getattr(node, "module", each.name)
            is_used = (each.asname or each.name.partition(".")[0]) in used
            if is_used and origin.partition(".")[0] not in sys.stdlib_module_names:
                where = next((f"{n.name}, " for n in defined_in(source.tree) if node in walk(n)), "")
                raise UserError(
                    f"the file would need {origin}, but it may use only the standard library: {where}"
                    "a part of the run, computes with it"
                )
            if node in source.tree.body:
                source.remove([node], source.tree.body)
            if is_used and node in source.tree.body:
                if isinstance(node, ast.Import):
                    modules_.append(ast.unparse(node))
                else:
                    names[origin].append(ast.unparse(each))
    lines = modules_ + [f"from {origin} import {', '.join(each)}" for origin, each in sorted(names.items())]
    return "\n".join(lines) + "\n\n" + source.edited().lstrip("\n")


def with_short_names(text: str, names: dict[str, str]) -> str:
    """Give names that gave way to others their own again, if the others are not in the text."""
    tree = ast.parse(text)
    taken = {n.id for n in walk(tree) if isinstance(n, ast.Name)}
    taken |= {n.arg for n in walk(tree) if isinstance(n, ast.arg)}
    taken |= {n.name for n in walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for long, short in names.items():
        if long != short and long in taken and short not in taken | modules.BUILTINS:
            text = re.sub(rf"(?<![\w.]){long}\b", short, text)
            taken.add(short)
    return text


def defined_in(tree: ast.Module) -> list[Any]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def section_of(place: int) -> str:
    """Return the title of the section that a place of collect.ORDER is in."""
    return next(title for title, names in collect.SECTIONS.items() if collect.ORDER[place] in names)


def with_sections(text: str, sections: dict[str, str]) -> str:
    """Put the title of each section before its first definition."""
    source, current = Source(text), ""
    for node in source.tree.body:
        name = next(iter(defined(node)), "")
        title = "Training and generation" if name == "matrix" else sections.get(name, current)
        if title != current:
            start, _ = source.lines(node)
            source.replace((start, start), MARK.format(title))
            current = title
    return source.edited()


INTRODUCTION = """\
microgpt_lab (export --python) wrote it from its own functions and classes, as far as this run uses them. Read it
from top to bottom: autograd, tensors, the model and its parts, optimizer, tokenizer, generation, training.

It trains as the run did: on the same documents, from the same first weights. {losses}
Then it prints the first ten samples of the run."""
SAME = "The losses that it prints are equal to the run's, to 1e-12."
ROUNDED = "It computes in float64, and the run did in {dtype}, so that its losses differ by rounding."


def introduction(config: dict[str, Any], overrides: Sequence[str]) -> str:
    """Return the docstring of the file."""
    backend = config["backend"]
    dtype = backend.get("precision") or backend.get("dtype") or "float64"
    losses = SAME if dtype == "float64" else ROUNDED.format(dtype=dtype)
    run = printable(" ".join(overrides)).replace("\\", "/").replace('"', "'") or "the default"
    paragraphs = [f"The run is {run}.", *INTRODUCTION.format(losses=losses).split("\n\n")]
    filled = "\n\n".join(textwrap.fill(each, WIDTH, break_long_words=False) for each in paragraphs)
    return f"A GPT in one file of Python that needs nothing else.\n\n{filled}\n"
