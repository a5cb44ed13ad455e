"""Names of tensors and numbers in a replay: layer0.attention.wq:2:5, wq[2,5], wte:e:3, layer0.mlp.post.

The end of a name is enough if no other tensor's name ends in it. An index counts from 0; where an axis stands
for tokens, it may be a token, also in quotes. Tensors without a name of their own are called t0, t1 …, in the
order of the computation.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple

from microgpt_lab.core.naming import full_names
from microgpt_lab.core.see import seen, unseen
from microgpt_lab.errors import UserError, nearest, printable
from microgpt_lab.inspection.recording import Origin
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.tensors.shapes import LENGTH, TokensRead, on_shapes
from microgpt_lab.tensors.tensor import Product, Tensor

FORM = re.compile(r"([\w.]+)(?:\[(.*)\]|:(.*))?", re.DOTALL)
INDEX = re.compile(r"""'[^']+'|"[^"]+"|[^:,]+""")
UNNAMED = re.compile(r"t\d+")
REORDERED = ("reshape", "take", "by_distance")  # operations whose rows are not those of their operand
TOKENS = ("token", "vocabulary")  # axes along which an index may be a token


class Axis(NamedTuple):
    """What an axis stands for ("token": places in the text, "vocabulary", "head", or ""), and its labels."""

    kind: str
    labels: list[str]


class Names:
    """The tensors of a replay by name, and the names of its numbers."""

    def __init__(self, replay: Replay):
        self.replay = replay
        named = replay.weights | replay.inside | {"losses": replay.losses, "loss": replay.loss}
        known = {id(tensor) for tensor in named.values()}
        new = {f"t{i}": x for i, x in enumerate(replay.tensors) if not x.is_view and id(x) not in known}
        self.tensors: dict[str, Tensor] = named | {name: new[name] for name in new if name not in named}
        self.shapes = symbolic_shapes(replay)
        self._axes: dict[str, list[Axis]] = {}

    @cached_property
    def places(self) -> dict[int, list[tuple[str, int]]]:
        """The tensors that hold a Value, and its place in their data, by its id. Named tensors come first."""
        places: dict[int, list[tuple[str, int]]] = {}
        for name, tensor in self.tensors.items():
            for i, value in enumerate(tensor.data if tensor.is_tracked else ()):
                places.setdefault(id(value), []).append((name, i))
        return places

    @cached_property
    def makers(self) -> dict[int, Origin]:
        """What made a Value, by its id. Weights have no entry."""
        makers: dict[int, Origin] = {}
        for tensor in self.replay.tensors:
            if tensor.is_tracked and not tensor.is_view and id(tensor) in self.replay.origins:
                makers |= dict.fromkeys(map(id, tensor.data), self.replay.origins[id(tensor)])
        return makers

    def number(self, name: str) -> tuple[str, int]:
        """Return the full name of a number's tensor, and its place in `data`. UserError if there is none."""
        tensor, inner = self.find(name)
        place = 0
        for size, i in zip(self.tensors[tensor].shape, self.index(tensor, inner), strict=True):
            place = place * size + i
        return tensor, place

    def find(self, name: str) -> tuple[str, str]:
        """Return the full name of a tensor, and the index that follows. UserError if there is none."""
        if not (match := FORM.fullmatch(name)):
            raise UserError(f"'{short(name)}' is no name of a tensor: write layer0.mlp.post, or wq:2:5")
        return self.full(match[1]), match[2] or match[3] or ""

    def full(self, name: str) -> str:
        """Return the full name of a tensor, of which `name` may be the end."""
        ends = full_names(name, self.tensors)
        if len(ends) == 1:
            return ends[0]
        if ends:
            more = f" … ({len(ends)} in all)" if len(ends) > 4 else ""
            raise UserError(f"'{short(name)}' is the end of several names: {', '.join(ends[:4])}{more}")
        known = [each for each in self.tensors if not UNNAMED.fullmatch(each)]
        endings = {each[i + 1 :]: each for each in known for i in dots(each)}
        near = nearest(name, endings)
        hint = f"did you mean '{endings[near]}'?" if near else f"there are {', '.join(some(known))}"
        raise UserError(f"there is no tensor '{short(name)}'; {hint}")

    def index(self, name: str, text: str) -> tuple[int, ...]:
        """Read the index of a number. Axes of length 1 may be left out."""
        shape = self.tensors[name].shape
        parts = [match[0].strip() for match in INDEX.finditer(text)]
        axes = [i for i, size in enumerate(shape) if size > 1 or len(parts) == len(shape)]
        if len(parts) != len(axes):
            size = " × ".join(map(str, shape))
            example = ":".join(["0"] * (len(axes) or 1))
            raise UserError(f"{name} is {size}: a number of it is {name}:{example}, say")
        found = [0] * len(shape)
        for axis, part in zip(axes, parts):
            found[axis] = self.at(name, axis, part)
        return tuple(found)

    def at(self, name: str, axis: int, part: str) -> int:
        """Read the index along one axis: a number, or the label of a token."""
        size = self.tensors[name].shape[axis]
        if re.fullmatch(r"\d{1,9}", part) and part.isascii():
            if int(part) < size:
                return int(part)
            raise UserError(f"{name}: {part} is beyond axis {axis}, which has {size} numbers, from 0")
        kind, labels = self.axes(name)[axis]
        quoted = len(part) > 2 and part[0] == part[-1] and part[0] in "'\""
        wanted = printable(part[1:-1] if quoted else part).replace(" ", "␣")
        places = [i for i, label in enumerate(labels) if label == wanted] if kind in TOKENS else []
        if len(places) == 1:
            return places[0]
        if places:
            raise UserError(f"{name}: '{wanted}' is at {', '.join(map(str, places))}: write one of these")
        what = f"no token '{short(wanted)}'" if kind in TOKENS else f"'{short(wanted)}' is no number"
        raise UserError(f"{name}: {what}; axis {axis} has {size} numbers, from 0")

    def axes(self, name: str) -> list[Axis]:
        """Return what each axis of a tensor stands for."""
        if name in self._axes:
            return self._axes[name]
        tensor, replay = self.tensors[name], self.replay
        labels = {"token": [replay.labels[i] for i in replay.ids], "vocabulary": list(replay.labels)}
        kinds = zip(self.kinds[id(tensor)], tensor.shape, strict=True)
        axes = [Axis(kind, labels.get(kind) or list(map(str, range(size)))) for kind, size in kinds]
        return self._axes.setdefault(name, axes)

    @cached_property
    def kinds(self) -> dict[int, list[str]]:
        """What each axis of a tensor stands for, by the tensor's id.

        An axis of a tensor without a name stands for what it does in those that it was computed from.
        """
        origins = self.replay.origins
        kinds = {
            id(x): self.own_kinds(name) for name, x in self.tensors.items() if not UNNAMED.fullmatch(name)
        }
        for x in self.replay.tensors:  # each after those that it was computed from
            if id(x) not in kinds:
                op = origins[id(x)].op if id(x) in origins else ""
                kinds[id(x)] = inherited(x, op, kinds)
        return kinds

    def own_kinds(self, name: str) -> list[str]:
        """What each axis of a tensor with a name stands for."""
        shape, symbols = self.tensors[name].shape, self.shapes.get(name, ())
        vocabulary = {("wte", 0), (self.replay.model.output_matrix, 0), ("logits", len(shape) - 1)}
        kinds = ["head" if len(shape) == 3 and axis == 0 else "" for axis in range(len(shape))]
        for axis in range(len(shape)):
            if len(symbols) == len(shape) and symbols[axis] is LENGTH:
                kinds[axis] = "token"
            elif (name, axis) in vocabulary:
                kinds[axis] = "vocabulary"
        return kinds

    def format(self, name: str, flat: int) -> str:
        """Return the name of the number at this place of a tensor's data: wte:e:3."""
        parts = []
        for size, (kind, labels) in zip(reversed(self.tensors[name].shape), reversed(self.axes(name))):
            flat, i = divmod(flat, size)
            parts.append(labels[i] if kind == "vocabulary" and labels[i].isalpha() else str(i))
        return ":".join([name, *reversed(parts)])

    def of(self, value: object, most: int = 10) -> list[str]:
        """Return the names of a Value, ten at most. The first is that of the tensor that is named first."""
        return [self.format(*place) for place in self.places.get(id(value), [])[:most]]


def inherited(tensor: Tensor, op: str, kinds: dict[int, list[str]]) -> list[str]:
    """Return what the axes of a tensor stand for, if those of its parents are known: rows, and columns."""
    *lead, height, width = tensor.shape
    parents = [(p.shape, kinds[id(p)]) for p in tensor.parents if id(p) in kinds]
    row = column = ""
    if op == ".T" and parents:
        *_, column, row = parents[0][1]
    elif op not in REORDERED:
        left = parents[:1] if isinstance(tensor, Product) else parents
        row = next((kind[-2] for shape, kind in left if shape[-2] == height and kind[-2]), "")
        same = parents[1:] if isinstance(tensor, Product) else [p for p in parents if p[0] == tensor.shape]
        column = next((kind[-1] for shape, kind in same if shape[-1] == width and kind[-1]), "")
    return ["head" if len(lead) == 1 else ""] * len(lead) + [row, column]


def symbolic_shapes(replay: Replay) -> dict[str, tuple]:
    """Return the shapes of the named tensors, in which the number of tokens is `LENGTH`."""

    def run() -> dict[str, tuple]:
        with seen() as inside:
            on_shapes(replay.model, LENGTH, dropout=False)
        return {name: tuple(x.shape) for name, x in inside.items()} | {"losses": (LENGTH, 1)}

    try:
        return unseen(run)()
    except TokensRead:  # a part that reads the number of tokens
        return {}


def dots(name: str) -> list[int]:
    return [-1, *(i for i, char in enumerate(name) if char == ".")]


def some(names: list[str]) -> list[str]:
    return names if len(names) <= 6 else [*names[:5], f"and {len(names) - 5} more"]


def short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 60 else f"{text[:59]}…"
