"""Write a run as one C file: its sizes, a step, the training, sampling, and the data."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.exchange.c_file.documents import documents_of
from microgpt_lab.exchange.c_file.literals import WIDTH, comment, template, used
from microgpt_lab.exchange.c_file.numbers import Places, first_numbers, learning_rates
from microgpt_lab.options.differences import differences
from microgpt_lab.options.keys import format_value

NUMBER = {"float64": "double", "float32": "float"}
HEAD = """
#pragma GCC diagnostic ignored "-Wunknown-pragmas"  // without -fopenmp-simd, loops are only slower
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wsource-uses-openmp"
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>
"""


def c_file(trainer: Trainer, config: dict[str, Any]) -> tuple[str, int]:
    """Return the text of the file, and for how many steps its documents are enough.

    trainer: the trainer of the run, before its first step, with backend=c. UserError if the file would be
        too large, or if a part cannot be compiled.
    """
    backend: Any = trainer.backend
    step, logits = backend.source(trainer)
    documents = documents_of(trainer)
    rates, rate_data = learning_rates(trainer, documents.steps)
    start = first_numbers(trainer, config, {"keep": step, "sample_keep": logits})
    choose, options, choices = choice_of(config["sampler"])
    sampling = template("sampling.c").replace("choose(", f"{choose}(")
    loops, stages = code_of(step)
    sample_loops, sample_stages = renamed(*code_of(logits))
    training = training_of(trainer)
    sections = {
        "Sizes": f"typedef {NUMBER[backend.precision]} real;\n\n"
        + sizes_of(trainer, step, logits, documents.steps, options),
        "Weights": memory_of(trainer, step, logits),
        "What a step calls": step.kernels,
        "Loops of a step": loops,
        "A step": stages,
        "Random numbers": template("random.c"),
        "The first numbers": start.code(),
        "Documents and learning rates": f"{documents.functions}\n{rates}",
        "Training": training,
        "Loops of the logits": sample_loops,
        "The logits": sample_stages,
        "Sampling": used(choices, sampling) + "\n" + sampling,
        "Data": documents.data + rate_data + start.data,
    }
    for title in ("Random numbers", "What a step calls"):
        others = "\n".join(text for other, text in sections.items() if other != title)
        sections[title] = used(sections[title], others)
    text = introduction(trainer, config, documents.steps, list(sections)) + HEAD
    for number, (title, body) in enumerate(sections.items(), start=1):
        text += f"\n// {f' {number}. {title} '.center(WIDTH - 30, '=')}\n\n{body.strip()}\n"
    return re.sub(r"[ \t]+\n", "\n", text), documents.steps


def introduction(trainer: Trainer, config: dict[str, Any], steps: int, titles: list[str]) -> str:
    """Return the comment at the beginning."""
    changed = " ".join(
        f"{key}={format_value(value)}"
        for key, (value, _) in differences(config).items()
        if not key.startswith(("callback", "backend"))
    )
    taken = f"{steps:,}" if steps == trainer.steps else f"the first {steps:,} of {trainer.steps:,}"
    contents = "; ".join(f"{number} {title}" for number, title in enumerate(titles, start=1))
    written = f"Written by microgpt_lab (export --c) for {changed or 'its default settings'}."
    same = (
        f"With the first weights, documents and learning rates of the run, it takes {taken} steps and prints "
        "the same losses, of which only the last digits may differ, by rounding."
    )
    paragraphs = [
        f"microgpt.c: a GPT of {trainer.parameters:,} weights, its training and ten samples, in one file.",
        "    cc -O2 microgpt.c -lm -o microgpt && ./microgpt",
        " ".join([written, same, *notes(trainer, config)]),
        f"Contents: {contents}.",
    ]
    lines = [textwrap.fill(p, WIDTH - 3, break_long_words=False, break_on_hyphens=False) for p in paragraphs]
    return comment("\n\n".join([lines[0], paragraphs[1], *lines[2:]]))


def notes(trainer: Trainer, config: dict[str, Any]) -> Iterator[str]:
    """Yield what differs from the run."""
    sampler = config["sampler"]["name"]
    if sampler in ("multinomial", "greedy"):
        yield "Its samples are those of the run too."
    else:
        yield f"Samples are drawn from softmax(logits), not with sampler={sampler}."
    if trainer.accumulate > 1:
        yield f"The {trainer.accumulate} batches of a step are computed as one."
    yield "Evaluations and callbacks are left out."
    if "early_stopping" in config["callback"]:
        yield "So it never stops early."


def sizes_of(trainer: Trainer, step: Any, logits: Any, steps: int, options: dict[str, float]) -> str:
    """Return the constants of the file."""
    ends, sample_ends, corpus = step.memory.ends, logits.memory.ends, trainer.corpus
    constants = {
        "VOCAB": (corpus.vocab_size, "number of tokens"),
        "BOS": (corpus.bos, "the token at both ends of a document"),
        "START": (corpus.start[-1], "the token that samples begin with"),
        "BLOCK": (trainer.model.block_size, "the most tokens that the model sees"),
        "BATCH": (len(trainer.inputs(0)[0].pairs), "documents of a step"),
        "STEPS": (steps, ""),
        "SAMPLES": (10, ""),
        "CARRY": (ends["carry"].fixed, "weights, and the optimizer's state"),
        "KEEP": (ends["keep"].fixed, "what is computed before or after the documents of a step"),
        "SUMS": (ends["sums"].fixed, "gradients and losses, summed over the documents"),
        "SAMPLE_KEEP": (sample_ends["keep"].fixed, "the same for the logits of a sample"),
        "SAMPLE_SUMS": (sample_ends["sums"].fixed, ""),
        "RESULTS": (len(step.results), "the norm of the gradients, the loss and its terms"),
        "ROOM": (step.memory.room, "behind an array, because products read up to 64 bytes past an operand"),
    }
    lines = [f"  {name} = {n},".ljust(24) + f"// {why}" * bool(why) for name, (n, why) in constants.items()]
    macros = {
        "WORK": size(ends["mem"], "BATCH * BLOCK"),
        "SAMPLE_WORK": size(sample_ends["mem"], "BLOCK"),
        "LOGITS": f"({logits.memory.home[logits.shown[0].node.serial]})",
    } | options
    defined = "".join(f"#define {name} {value}\n" for name, value in macros.items())
    work = "// Numbers that the documents of a step need, and those of a sample; where its logits are.\n"
    return f"enum {{\n{chr(10).join(lines)}\n}};\n{work}{defined}"


def size(end: Any, tokens: str) -> str:
    return f"((size_t){tokens} * ({end.tokens} + {end.pairs} * BLOCK) + {end.fixed} + ROOM)"


def memory_of(trainer: Trainer, step: Any, logits: Any) -> str:
    """Return the arrays, and which weight lies where."""
    places = Places(trainer)
    width = max(map(len, places.at))
    lines = [f"  {at:<8} {name:<{width}} {places.shapes[name]}" for name, at in places.at.items()]
    if step.memory.ends["carry"].fixed > places.state:
        lines.append(f"  {places.state:<8} the optimizer's state")
    return (
        comment("\n".join(["Where weights begin in `carry`:", *lines]))
        + "static real carry[CARRY + ROOM], keep[KEEP + ROOM], sums[SUMS + ROOM];\n"
        + "static real sample_keep[SAMPLE_KEEP + ROOM], sample_sums[SAMPLE_SUMS + ROOM];\n"
    )


def code_of(program: Any) -> tuple[str, str]:
    """Return the loops of a program, and its stages."""
    return "\n".join(program.functions.values()), "\n".join(program.bodies)


def renamed(loops: str, stages: str) -> tuple[str, str]:
    """Return loops and stages of the logits under names of their own. Nothing comes after their documents."""
    own = re.findall(r"^(?:NOINLINE|static) void (\w+)\(", loops + stages, re.MULTILINE)
    pattern = re.compile(rf"\b({'|'.join(own)})\(")
    before, documents, *_ = re.split(r"^// .*\n(?=static void)", stages, flags=re.MULTILINE)[1:]
    stages = (
        f"// What depends on the weights alone.\n{before}// The forward pass, up to the logits.\n{documents}"
    )
    return pattern.sub(r"sample_\1(", loops), pattern.sub(r"sample_\1(", stages)


def training_of(trainer: Trainer) -> str:
    """Return the training loop, with the masks of dropout if the run has any."""
    masks, text = "", template("training.c")
    dropouts = trainer.inputs(0)[0].dropouts
    for dropout in dropouts:
        kind, name = ("score_masks" if dropout.heads else "masks"), dropout.key.rpartition(" ")[0]
        sizes = f"{dropout.rate!r}, {dropout.sites}, {dropout.width}, {dropout.heads}"
        masks += f'  batch.{kind} = masks_of(&batch, "{name}", step, {sizes});\n'
    text = text.replace("  Memory memory =", f"{masks}  Memory memory =")
    return (
        text.replace("// One step takes", template("masks.c") + "\n// One step takes") if dropouts else text
    )


def choice_of(sampler: dict[str, Any]) -> tuple[str, dict[str, float], str]:
    """Return the C function that chooses a token, its constants, and the text that has it."""
    text = template("choice.c")
    if sampler["name"] == "greedy" or sampler.get("temperature") == 0:
        return "likeliest", {}, text
    known = sampler if sampler["name"] == "multinomial" else {"temperature": 1.0}
    options = {key: known[key] for key in ("temperature", "top_k", "top_p", "min_p") if key in known}
    if not (options.get("top_k") or options.get("top_p", 1) < 1 or options.get("min_p")):
        options, text = {"temperature": options["temperature"]}, text.replace("  keep_likeliest(p);\n", "")
    return "draw", {key.upper(): value for key, value in options.items()}, text
