"""Choose a width of a model so that it costs as much as another one: `match=parameters` or `match=flops`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from microgpt_lab.core.data import Corpus
from microgpt_lab.core.documents import Documents
from microgpt_lab.core.model import GPT
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options.config import converted_config
from microgpt_lab.options.older import part_with_defaults
from microgpt_lab.options.overrides import key_of, parse_value
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import Option, options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEY_OF
from microgpt_lab.run import reuse
from microgpt_lab.run.assemble import build, load_documents
from microgpt_lab.run.probe import check_position, naming
from microgpt_lab.run.sizes import check_model, check_size, shape
from microgpt_lab.tensors.shapes import flops_per_token

WITHIN = 0.01  # largest difference of the two costs, as a fraction of the reference's
SIZES = ("layers", "heads", "embed", "block_size")  # of microGPT "of the same sizes"
UNITS = {"parameters": "parameters", "flops": "FLOPs per token"}
GAP = 256  # most values in a row that a model may refuse, such as those that heads do not divide
HIGHEST = 2**30  # highest value that is tried


def matched(config: dict[str, Any], overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return a configuration in which `match_free` has the value that `match` asks for.

    In the result, `match_reference` is a number: the cost of the reference. Call this once, on what has been
    composed: the configuration of a run has the chosen value already. UserError if no value comes within 1 %.
    """
    match, free, overrides = config["match"], config["match_free"], list(overrides)
    if match == "none":
        keys = [key_of(each) for each in overrides]
        for key in ("match_free", "match_reference"):
            if key in keys and "match" not in keys:
                raise UserError(f"{key} has no effect without match=parameters or match=flops: add one")
        return config
    given = [each for each in overrides if key_of(each) == free]
    if given:
        raise UserError(
            f"match={match} chooses {free}: leave out {given[0]}, or set match_free to another key"
        )
    if config["init_from"]:
        raise UserError(
            f"match={match} cannot choose {free}, because init_from brings the shapes of the weights"
        )
    documents = load_documents(config)
    # With all documents, the vocabulary is the same for each seed.
    key = "match", reuse.setting_key(config), config["train_docs"] and config["seed"]
    value, cost = documents.cached(key, lambda: choose(config, vocabulary_size(config, documents)))
    return replaced(config, free, value) | {"match_reference": str(cost)}


def choose(config: dict[str, Any], vocabulary: int) -> tuple[int | float, int]:
    """Return the value of `match_free` whose cost is nearest to that of the reference, and the latter."""
    match, free = config["match"], config["match_free"]
    option, wanted = free_option(config), reference_cost(config, vocabulary)
    refusals: list[UserError] = []

    @cache
    def cost(value: int | float) -> int | None:
        try:
            return cost_of(replaced(config, free, value), vocabulary)
        except UserError as error:
            refusals.append(error)
            return None

    def value(n: int) -> int | float:  # a ratio makes n numbers for each of `embed`
        return n if option.type is int else n / config["embed"]

    near = {value(n): found for n, found in around(lambda n: cost(value(n)), wanted).items()}
    if not near:
        raise refusals[0]
    if len(near) > len({*near.values()}):
        raise UserError(f"match_free={free} does not change the {UNITS[match]}{other_key(config)}")
    best = min(near, key=lambda x: abs(near[x] - wanted))
    if abs(near[best] - wanted) <= WITHIN * wanted:
        return shortest(best, cost), wanted
    costs = " and ".join(f"{free}={shortest(x, cost)} makes {number:,}" for x, number in near.items())
    raise UserError(
        f"match={match}: no {free} comes within 1 % of {wanted:,} {UNITS[match]} ({costs})"
        f"{other_key(config)}, or a larger model"
    )


def around(cost: Callable[[int], int | None], wanted: int) -> dict[int, int]:
    """Return the largest number that costs less than wanted, and the smallest that costs as much or more.

    If nothing costs less, return the two that cost least; if nothing costs as much, the one that costs most.

    cost: grows with the number. None for a number that is refused, such as one that heads do not divide.
    """

    def accepted(numbers: range) -> int | None:
        return next((n for n in numbers if cost(n) is not None), None)

    def reaches(n: int) -> bool:
        first = accepted(range(n, n + GAP))
        return first is None or (cost(first) or 0) >= wanted

    high = 1
    while high < HIGHEST and not reaches(high):
        high *= 2
    n = 1 + bisect_left(range(1, high), True, key=reaches)
    above = accepted(range(n, n + GAP))
    below = accepted(range(n - 1, max(0, n - GAP), -1))
    if above and not below:
        above, below = accepted(range(above + 1, above + GAP)), above
    return {n: cost(n) or 0 for n in (below, above) if n}


def other_key(config: dict[str, Any]) -> str:
    """Return the end of an error message that names another key that could be free."""
    numbers = numbers_of_model(config)
    keys = [key for key in ("mlp.ratio", "embed", "layers") if key in numbers and key != config["match_free"]]
    return f": choose another key, such as match_free={keys[0]}"


def shortest(value: int | float, cost: Callable[[int | float], int | None]) -> int | float:
    """Return the decimal fraction with the fewest digits that costs the same."""
    rounded = (round(value, digits) for digits in range(1, 17) if isinstance(value, float))
    return next((each for each in rounded if cost(each) == cost(value)), value)


def reference_cost(config: dict[str, Any], vocabulary: int) -> int:
    """Return the cost that `match_reference` names. UserError for a reference that is not valid."""
    text = config["match_reference"]
    try:
        number = float(text)
    except ValueError:
        try:
            return cost_of(reference(config), vocabulary)
        except UserError as error:
            who = "match_reference" if text else "the reference, microGPT"
            raise UserError(f"{who}: {error}") from None
    if not 1 <= number < math.inf:
        raise UserError(f"match_reference={text}: write a number of {UNITS[config['match']]}")
    return round(number)


def reference(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the reference: microGPT, or this one with the keys of `match_reference`."""
    words, of_gpt = config["match_reference"].split(), options_of(GPT)
    if not words:
        own = {key: option.default for key, option in of_gpt.items() if key not in SIZES}
        return config | own | {kind: part_with_defaults(kind) for kind in MODEL_KINDS}
    for word in sorted(words, key=lambda word: "." in word.partition("=")[0]):  # parts, then their options
        key, equals, text = word.partition("=")
        kind, dot, _ = key.partition(".")
        if not equals:
            raise UserError(f"'{word}' is neither a number nor key=value")
        if key in MODEL_KINDS:
            config = config | {key: part_with_defaults(key, text)}
        elif key in of_gpt or (dot and kind in MODEL_KINDS):
            config = replaced(config, key, parse_value(text))
        else:
            raise UserError(f"'{key}' is no key of the model{suggest(key, [*of_gpt, *MODEL_KINDS], KEY_OF)}")
    return converted_config(config)


def free_option(config: dict[str, Any]) -> Option:
    """Return the option that `match_free` names. UserError if it is no number of the chosen model."""
    key, numbers = config["match_free"], numbers_of_model(config)
    kind, _, name = key.partition(".")
    if key in numbers:
        return numbers[key]
    if name and kind in MODEL_KINDS:
        what = f"{kind}={config[kind]['name']} has no number '{name}'"
        raise UserError(f"match_free={key}: {what}{other_key(config)}")
    raise UserError(f"match_free={key} is no number of the model{suggest(key, numbers, KEY_OF)}")


def numbers_of_model(config: dict[str, Any]) -> dict[str, Option]:
    """Return the options of a model, and of its parts, that are numbers, by key."""
    numbers = {key: option for key, option in options_of(GPT).items() if option.type is int}
    for kind in MODEL_KINDS:
        options = registry().get(kind, config[kind]["name"]).options
        numbers |= {f"{kind}.{key}": each for key, each in options.items() if each.type in (int, float)}
    return numbers


def replaced(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return the configuration with another value of a key, such as 'mlp.ratio'."""
    kind, dot, name = key.partition(".")
    return config | ({kind: config[kind] | {name: value}} if dot else {key: value})


def cost_of(config: dict[str, Any], vocabulary: int) -> int:
    """Return the parameters of a model, or the FLOPs per token, as `match` says. UserError if it refuses."""
    parts = {kind: build(kind, config[kind]) for kind in MODEL_KINDS}
    # The class has the limits. Building it could import JAX, which starts threads.
    backend: Any = registry().get("backend", config["backend"]["name"]).make
    try:
        check_position(config, parts)
        check_size(config, parts | {"backend": backend})
        with naming(config, parts, refusal=ValueError, failed="cannot be built"):
            model = GPT(vocabulary, **parts, **{name: config[name] for name in options_of(GPT)})
            check_model(model, config, backend)
            model.tables  # noqa: B018  of which a part may refuse to make one
        if config["match"] == "parameters":
            return sum(math.prod(shape(name, each, config)) for name, each in model.declared.items())
        with naming(config, parts, refusal=ValueError, failed="has no FLOPs that can be counted"):
            return flops_per_token(model)
    except ValueError as error:
        raise UserError(str(error)) from None


def vocabulary_size(config: dict[str, Any], documents: Documents) -> int:
    """Return the number of tokens that the tokenizer learns. UserError if the data cannot be used."""
    tokenizer = build("tokenizer", config["tokenizer"])
    try:
        with naming(config, {"tokenizer": tokenizer}, refusal=ValueError, failed="cannot learn"):
            return Corpus(
                documents, tokenizer, **{name: config[name] for name in options_of(Corpus)}
            ).vocab_size
    except ValueError as error:
        raise UserError(str(error)) from None
