"""Write a run as one file of Python: from the sources of its parts to the text.

`code` puts the definitions that the run may need into one text, and then makes it shorter, in passes, each
by the module of its name:

    pass        what it leaves out                       an example: before, after
    collect     all that no part of the run names;       at_least(1, layers=self.layers)
                checks of options                        (nothing)
    specialize  parameters that get no weight, and       def gelu(x, *, approximate="none"):
                options of functions                     def gelu(x):
    sweep       definitions, members, variables and      self.names, self.unused = names, 0
                parameters that nothing uses             self.names = names
    calls       functions that call one method           x * ops_exp(y)
                                                         x * y.exp()
    fold        branches and choices that are decided    y = -x if self.on else x
                by options (known: their values)         y = x
    calls       parameters that are constant, and        self.rotate(q, None)
                methods that return what they get        q
    trace       methods of Value and Tensor that no      def tanh(self): …
                step and no sample calls                 (nothing)
    layout      what docstrings say of all that, and     x. ValueError if it is not finite.
                line breaks                              x.

Each of fold, calls and sweep makes more of the others possible, so `simplified` repeats them until nothing
changes, also after trace. Names in the text are unique from `collect` on, such as `ops_exp`, and get short
again at the end if nothing else is called so. Last, `check_losses` compares the file with the run.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError, printable
from microgpt_lab.exchange.python_file.calls import (
    propagated,
    without_identities,
    without_unknown_keywords,
    without_wrappers,
)
from microgpt_lab.exchange.python_file.collect import (
    ORDER,
    SECTIONS,
    assembled,
    needed,
    ordered,
    output_names,
)
from microgpt_lab.exchange.python_file.data import documents_of, documents_text, vocabulary_text
from microgpt_lab.exchange.python_file.fold import folded
from microgpt_lab.exchange.python_file.layout import WIDTH, described, laid_out, parameters_in
from microgpt_lab.exchange.python_file.live import defined
from microgpt_lab.exchange.python_file.modules import BUILTINS, OURS, Symbol, module
from microgpt_lab.exchange.python_file.program import part, program, settings
from microgpt_lab.exchange.python_file.source import Function, Source, is_load, walk
from microgpt_lab.exchange.python_file.specialize import attributes_of, specialized
from microgpt_lab.exchange.python_file.sweep import swept
from microgpt_lab.exchange.python_file.trace import check_losses, methods_called
from microgpt_lab.registry.folders import FIRST_PARTY
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

    trainer: the trainer of the run, before its first step. It is used up.
    config: the configuration of the run.
    overrides: what was written on its command line.
    """
    documents = documents_text(documents_of(trainer))
    vocabulary = vocabulary_text(trainer.corpus.tokenizer.state_dict())
    head = f'"""{introduction(config, overrides)}"""\n\nfrom __future__ import annotations\n\n'
    end = 'if __name__ == "__main__":\n    main()\n'
    text = f"{head}{code(trainer, config)}\n\n{vocabulary}\n{documents}\n{end}"
    if trainer.steps > 1:
        check_losses(text, trainer)
    return text


def code(trainer: Trainer, config: dict[str, Any]) -> str:
    """Return the text of the file without its introduction and its data."""
    parts = {kind: symbol_of(kind, config) for kind in KINDS}
    core = [Symbol(f"microgpt_lab.{origin}", name) for name, origin in USED.items()]
    found = needed([*core, *parts.values()], {symbol: kind for kind, symbol in parts.items()})
    definitions = ordered(found)
    names, imports = output_names(definitions, core)
    of_kind = {kind: names[symbol] for kind, symbol in parts.items()}
    text = "\n\n".join(
        [
            "\n".join(sorted({*imports, *IMPORTS})),
            settings(trainer),
            assembled(definitions, names),
            program(trainer, config, of_kind),
            "VOCABULARY = DOCUMENTS = None\n",
            'if __name__ == "__main__":\n    main()\n',
        ]
    )
    parameters = parameters_in(text)
    text = specialized(text, trainer, config, of_kind)
    wrappers = {names[s] for s in found if s.module == "microgpt_lab.core.ops" and names[s] != s.name}
    text = swept(text)
    while text != (text := without_wrappers(text, wrappers)):  # one may be inside of another
        pass
    is_first_party = type(trainer.model.attention).__module__.startswith(("microgpt_lab.", f"{FIRST_PARTY}."))
    if is_first_party and getattr(trainer.model.attention, "kv_heads", 0) in (0, trainer.model.heads):
        text = without_identities(text, {names[Symbol("microgpt_lab.core.derived", "repeat_heads")]})
    text = simplified(text, attributes_of(trainer, text, names))
    text = simplified(text, {}, methods_called(text, trainer.corpus))
    text = described(with_imports(text), parameters)
    check_complete(text)
    text = with_sections(text, {names[each.symbol]: section_of(each.place[0]) for each in definitions})
    text = with_short_names(text, {names[each.symbol]: each.symbol.name for each in definitions})
    return laid_out(text[: text.index("VOCABULARY = ")])


def symbol_of(kind: str, config: dict[str, Any]) -> Symbol:
    """Return where the run's part of this kind is defined. UserError if it is not in a file of its own."""
    make, _ = part(kind, config)
    OURS.add(make.__module__.partition(".")[0])
    file = getattr(sys.modules.get(make.__module__), "__file__", None)
    if not file or make.__name__ not in module(make.__module__).definitions:
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


def check_complete(text: str) -> None:
    """Raise UserError if the text uses a name that it does not define."""
    nodes = walk(Source(text).tree)
    known = {*BUILTINS, "__file__"}
    known |= {n.id for n in nodes if isinstance(n, ast.Name) and not is_load(n)}
    known |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    known |= {n.name or "" for n in nodes if isinstance(n, Function | ast.ClassDef | ast.ExceptHandler)}
    known |= {(n.asname or n.name).partition(".")[0] for n in nodes if isinstance(n, ast.alias)}
    if missing := sorted({n.id for n in nodes if isinstance(n, ast.Name)} - known):
        raise UserError(f"the run's parts use {missing[0]}, which is of the lab and not of a model")


def with_short_names(text: str, names: dict[str, str]) -> str:
    """Give names that gave way to others their own again, if the others are not in the text."""
    tree = ast.parse(text)
    taken = {n.id for n in walk(tree) if isinstance(n, ast.Name)}
    taken |= {n.arg for n in walk(tree) if isinstance(n, ast.arg)}
    taken |= {n.name for n in walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for long, short in names.items():
        if long != short and long in taken and short not in taken | BUILTINS:
            text = re.sub(rf"(?<![\w.]){long}\b", short, text)
            taken.add(short)
    return text


def defined_in(tree: ast.Module) -> list[Any]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def section_of(place: int) -> str:
    """Return the title of the section that a place of ORDER is in."""
    return next(title for title, names in SECTIONS.items() if ORDER[place] in names)


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
microgpt_lab (export --python) wrote it from its own functions and classes, as far as this run uses them. Read
it from top to bottom: autograd, tensors, the model and its parts, optimizer, tokenizer, generation, training.

It trains as the run did: on the same documents, from the same first weights. {losses}
Then it prints the first ten samples of the run."""
SAME = "The losses that it prints are equal to the run's, to 1e-12."
ROUNDED = "It computes in float64, and the run did in {precision}, so that its losses differ by rounding."


def introduction(config: dict[str, Any], overrides: Sequence[str]) -> str:
    """Return the docstring of the file."""
    precision = config["backend"].get("precision", "float64")
    losses = SAME if precision == "float64" else ROUNDED.format(precision=precision)
    run = printable(" ".join(overrides)).replace("\\", "/").replace('"', "'") or "the default"
    paragraphs = [f"The run is {run}.", *INTRODUCTION.format(losses=losses).split("\n\n")]
    filled = "\n\n".join(textwrap.fill(each, WIDTH, break_long_words=False) for each in paragraphs)
    return f"A GPT in one file of Python that needs nothing else.\n\n{filled}\n"
