"""Tell what a run never changes: attributes of its parts, parameters that it never gives."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.exchange.python_file.calls import remove_parameters, substitute_name
from microgpt_lab.exchange.python_file.known import UNKNOWN, Attributes
from microgpt_lab.exchange.python_file.modules import Symbol
from microgpt_lab.exchange.python_file.program import SIZES, part
from microgpt_lab.exchange.python_file.source import Source, functions, is_load, walk
from microgpt_lab.registry.hookspecs import MODEL_KINDS


def attributes_of(trainer: Trainer, text: str, names: dict[Symbol, str]) -> Attributes:
    """Return the attributes of the model, its parts and the optimizer that never change, by class.

    Sizes are not among them, so that they can be changed in the file.

    names: of the classes in the text.
    """
    model, tree = trainer.model, Source(text).tree
    stores = Counter(n.attr for n in walk(tree) if isinstance(n, ast.Attribute) and not is_load(n))
    parts = {kind: getattr(model, kind) for kind in MODEL_KINDS}
    found: Attributes = {}
    for each in (model, *parts.values(), trainer.optimizer, trainer.scheduler, trainer.sampler):
        for class_ in type(each).__mro__ if hasattr(each, "__dict__") else ():
            mine = found.setdefault(names.get(Symbol(class_.__module__, class_.__name__), ""), {})
            for name, value in vars(each).items():
                if name not in SIZES and stores[name] < 2 and is_plain(value):
                    mine[name] = value if mine.get(name, value) == value else UNKNOWN
    if not any(model.tables.values()):
        found["GPT"]["tables"] = {}
    found["Wiring"] = found["GPT"] = found["GPT"] | parts
    return found


def is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str)) or value in ((), [], {})


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
        if owner and owner.name == names["norm"] and function.name == "init" and not declared["norm"]:
            source.remove([function], owner.body)  # it returns no weights
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
    own = "self.attention.head_dim or " if hasattr(model.attention, "head_dim") else ""
    values = {
        "norms": repr(model.norms).replace("'", '"'),
        "aux_losses": repr(model.aux_losses).replace("'", '"'),
        "head_dim": f"{own}self.embed // self.heads",
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
