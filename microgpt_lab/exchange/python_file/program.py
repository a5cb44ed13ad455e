"""The end of an exported file: it builds the run's parts, trains as the run did, and prints samples."""

from __future__ import annotations

import inspect
import re
from string import Template
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.exchange.python_file.data import literal
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry

SIZES = ("layers", "heads", "embed", "block_size")
WIDTH = 110
DRAW_MASKS = '''
def draw_masks(model, batch, step):
    """Draw the dropout masks of a step, for each piece of its batch."""
    masks = [[] for _ in batch]
    for dropout in Dropout.of_step(model, DROPOUT, SEED, step):
        for of_piece, matrices in zip(masks, dropout.masks([len(piece) - 1 for piece in batch])):
            tensors = [matrix(rows) for rows in matrices]
            of_piece += [x.split_heads(dropout.heads) for x in tensors] if dropout.heads else tensors
    return masks

'''
PROGRAM = Template('''\
def matrix(rows):
    return Tensor([float(x) for row in rows for x in row], (len(rows), len(rows[0])))

$draw_masks
def batch_loss(model, w, batch$and_masks):
    """Compute the loss of a batch, the mean over the tokens that it predicts: (1, 1)."""
    tokens, losses = sum(len(piece) - 1 for piece in batch), []
    for $each in $pieces:
$compute
        losses.append((loss * (1 / tokens)).total())
    return sum(losses[1:], start=losses[0])


def main():
    gc.disable()  # a graph has no cycles, so that Python frees it without the collector
    rng = Random(SEED)
$shuffle\
    tokenizer = $tokenizer
    tokenizer.load_state_dict(VOCABULARY)
    bos = len(tokenizer.tokens)  # the token that begins and ends a document
$data
    model = GPT(
        bos + 1,
$parts
    )
    optimizer = $optimizer
    scheduler = $scheduler
    weights = {name: matrix(rows) for name, rows in model.initial_weights(rng).items()}
    state = {name: optimizer.init(w$init_role) for name, w in weights.items()}

    for step in range(STEPS):
        lr = optimizer.lr * scheduler(step, STEPS)
        batch = $batch
$points        values = {name: w.tracked() for name, w in $at.items()}  # a Value for each number
        loss = batch_loss(model, values, batch$draw)
        loss.backward()
        grads = {name: Tensor([x.grad for x in w.data], w.shape) for name, w in values.items()}
$clip\
        for name, w in weights.items():
            g = grads[name]
            weights[name], state[name] = optimizer.update(g, state[name], w, lr, step$update_role)
        print(f"step {step + 1:4d} / {STEPS:4d} | loss {loss.item()}")

    sampler = $sampler
    text = Continuation(model, weights, $start, stop=bos)
    for i in range(SAMPLES):
        print(f"sample {i + 1:2d}: {tokenizer.decode(sampler(text, rng))}")
''')
PLAIN = """\
        loss = model.loss(model.logits(w, piece[:-1]$masks), piece[1:])"""
WITH_AUX = """\
        aux = {}
        logits = model.logits(w, piece[:-1]$masks, aux=aux)
        loss = sum(aux.values(), start=model.loss(logits, piece[1:]))"""
TRUNCATED = """\
    pieces = [[bos, *tokenizer.encode(document), bos][: BLOCK_SIZE + 1] for document in DOCUMENTS]"""
WINDOWS = """\
    pieces = []
    for document in DOCUMENTS:
        tokens = [bos, *tokenizer.encode(document), bos]
        pieces += [tokens[i : i + BLOCK_SIZE + 1] for i in range(0, len(tokens) - 1, BLOCK_SIZE)]"""
SHUFFLE = """\
    rng.shuffle(list(range({})))  # the documents that the run chose from
"""
POINTS = """\
        points = {name: optimizer.gradient_at(w, state[name]) for name, w in weights.items()}
"""
CLIP = """\
        norm = math.hypot(*(x for g in grads.values() for x in g.data))
        if norm > GRAD_CLIP:
            grads = {name: g * (GRAD_CLIP / norm) for name, g in grads.items()}
"""


def program(trainer: Trainer, config: dict[str, Any], names: dict[str, str]) -> str:
    """Return the functions that train and sample.

    names: of the functions and classes of the run's parts, in the file, by kind.
    """
    corpus, model, optimizer = trainer.corpus, trainer.model, trainer.optimizer
    dropped = bool(trainer.dropout or model.attention_dropout)
    batch = "[pieces[i % len(pieces)] for i in range(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)]"
    if corpus.stream:
        batch = 'random_windows(ids, BLOCK_SIZE + 1, BATCH_SIZE, f"windows {SEED} {step}")'
    fields = {kind: made(kind, config, names[kind], " " * 8) for kind in MODEL_KINDS}
    constants = {name: name.upper() for name in SIZES}
    fields |= {n: constants.get(n) or literal(getattr(model, n)) for n in options_of(type(model))}
    compute = Template(WITH_AUX if model.aux_losses else PLAIN)
    count = len(corpus.documents.split(config["split"]).train)
    looks_elsewhere = hasattr(optimizer, "gradient_at")
    return PROGRAM.substitute(
        draw_masks=DRAW_MASKS if dropped else "",
        and_masks=", masks" if dropped else "",
        each="piece, dropout_masks" if dropped else "piece",
        pieces="zip(batch, masks)" if dropped else "batch",
        compute=compute.substitute(masks=", masks=dropout_masks" if dropped else ""),
        shuffle="" if corpus.stream else SHUFFLE.format(count),
        data="    ids = encoded(DOCUMENTS, tokenizer)" if corpus.stream else cut(corpus.long_docs),
        parts="\n".join(f"        {name}={value}," for name, value in fields.items()),
        tokenizer=made("tokenizer", config, names["tokenizer"]),
        optimizer=made("optimizer", config, names["optimizer"]),
        scheduler=made("scheduler", config, names["scheduler"]),
        sampler=made("sampler", config, names["sampler"]),
        init_role=role(optimizer.init),
        points=POINTS if looks_elsewhere else "",
        at="points" if looks_elsewhere else "weights",
        update_role=role(optimizer.update),
        batch=batch,
        draw=", draw_masks(model, batch, step)" if dropped else "",
        clip=CLIP if trainer.grad_clip else "",
        start="[bos]" if corpus.start == [corpus.bos] else 'tokenizer.encode("\\n")',
    )


def cut(long_docs: str) -> str:
    return WINDOWS if long_docs == "window" else TRUNCATED


def role(method: Any) -> str:
    return ", role=model.roles[name]" if "role" in inspect.signature(method).parameters else ""


def made(kind: str, config: dict[str, Any], name: str, indent: str = "    ") -> str:
    """Return the expression that builds the run's part of this kind, in a line with this indentation."""
    make, options = part(kind, config)
    given = [f"{key}={literal(value)}" for key, value in options.items()]
    if inspect.isclass(make):
        return call(name, given, indent)
    numbers = [text for text, value in zip(given, options.values()) if is_number(value)]
    return call("partial", [name, *numbers], indent) if numbers else name


def call(name: str, arguments: list[str], indent: str) -> str:
    """Return a call, in one line if it is short."""
    line = f"{name}({', '.join(arguments)})"
    if len(line) < 60:
        return line
    return f"{name}(\n" + "".join(f"{indent}    {each},\n" for each in arguments) + f"{indent})"


def is_number(value: Any) -> bool:
    """Return whether an option of a function is given to it; other values decide what it is in the file."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def part(kind: str, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the function or class of the run's part of this kind, and its options."""
    options = dict(config[kind])
    return registry().get(kind, options.pop("name")).make, options


def settings(trainer: Trainer) -> str:
    """Return the constants at the top of the file."""
    model = trainer.model
    values = {
        "seed": trainer.seed,
        "steps": trainer.steps,
        "batch_size": trainer.batch_size * trainer.accumulate,
        **{name: getattr(model, name) for name in SIZES},
        **({"dropout": trainer.dropout} if trainer.dropout or model.attention_dropout else {}),
        **({"grad_clip": trainer.grad_clip} if trainer.grad_clip else {}),
        "samples": 10,
    }
    return "".join(f"{name.upper()} = {literal(value)}\n" for name, value in values.items())


# Names that the program uses, so that no part is called like them.
RESERVED = set(
    re.findall(r"(?m)\b([a-z]\w*)\b(?= = | in |, \w+ = |, \w+ in |\()", PROGRAM.template + WITH_AUX)
)
RESERVED |= {"batch", "pieces", "ids", "masks", "state", "main", "i", "document", "tokens"}
