"""Trees of tensors, in dicts and tuples: weights, and the state of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from microgpt_lab.errors import UserError

FORM = "an optimizer's state must be tensors, in tuples and dicts that keep their form"


def mapped(tree: Any, f: Callable[[Any], Any]) -> Any:
    """Apply f to the tensors of a tree of dicts and tuples. UserError for anything else but None."""
    if isinstance(tree, dict):
        return {key: mapped(branch, f) for key, branch in tree.items()}
    if isinstance(tree, tuple):
        branches = [mapped(branch, f) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
    if tree is not None and not hasattr(tree, "shape"):
        raise UserError(FORM)
    return tree if tree is None else f(tree)


def leaves_of(tree: Any) -> list[Any]:
    found: list[Any] = []
    mapped(tree, found.append)
    return found


def matched(known: Any, new: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the tensors at the same places of two trees. UserError if the trees differ in form."""
    if isinstance(known, dict) and isinstance(new, dict) and known.keys() == new.keys():
        for key in known:
            yield from matched(known[key], new[key])
    elif isinstance(known, tuple) and isinstance(new, tuple) and len(known) == len(new):
        for pair in zip(known, new):
            yield from matched(*pair)
    elif isinstance(known, dict | tuple) or isinstance(new, dict | tuple) or (known is None) != (new is None):
        raise UserError(FORM)
    elif known is not None:
        yield known, new
