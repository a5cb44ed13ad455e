"""The numbers that a run starts from, in C: weights, the optimizer's state, tables, and learning rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from random import Random
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.exchange.c_file.literals import array, used
from microgpt_lab.tensors.trees import leaves_of

MOST_WEIGHTS = 1_000_000  # as data
FILLING = """
static void normal(Random *rng, real *w, int64_t n, double mean, double std) {
  for (int64_t i = 0; i < n; i++) w[i] = gauss(rng, mean, std);
}

static void fill(real *w, int64_t n, double x) {
  for (int64_t i = 0; i < n; i++) w[i] = x;
}
"""


class Places:
    """Where weights lie in the carry of a step, `at` by name, and from `state` on the optimizer's state."""

    def __init__(self, trainer: Trainer):
        packing, self.at, self.state = trainer.packing, dict[str, int](), 0
        self.shapes = packing.shapes
        for row in trainer.carry[0]:
            for name in packing.rows[row] if packing.elementwise else [row]:
                self.at[name] = self.state
                self.state += prod(self.shapes[name])


class Start:
    """The C function that sets the first numbers: its `lines`, and the `data` that it reads."""

    def __init__(self):
        self.lines: list[str] = []
        self.declared, self.data = "", ""
        self.names: dict[Any, str] = {}  # of data, by what it belongs to

    def set(self, place: str, rows: Iterable[Iterable[float]], key: Any, name: str) -> None:
        """Set the numbers from a place on. Those of the same key are the same data."""
        numbers = [x for row in rows for x in row]
        if len(set(numbers)) == 1:
            if numbers[0]:
                self.lines.append(f"fill({place}, {len(numbers)}, {numbers[0]!r});")
            return
        if key not in self.names:
            self.names[key] = name
            declaration = f"static const real {name}[{len(numbers)}]"
            self.declared += f"{declaration};\n"
            self.data += array(declaration, map(repr, numbers))
        self.lines.append(f"memcpy({place}, {self.names[key]}, sizeof {self.names[key]});")

    def code(self) -> str:
        """Return the function, after what it calls."""
        body = "".join(f"  {line}\n" for line in self.lines)
        text = f"static void start_run(Random *rng) {{\n{body}}}\n"
        return used(FILLING, text) + "\n" + self.declared + text


def first_numbers(trainer: Trainer, config: dict[str, Any], programs: dict[str, Any]) -> Start:
    """Return what sets all numbers before the first step. UserError if too many weights would be data.

    programs: each with the name of the memory that its tables are copied into.
    """
    start, places = Start(), Places(trainer)
    corpus, drawn = trainer.corpus, draws(trainer, config["split"])
    if not drawn and trainer.parameters > MOST_WEIGHTS:
        raise UserError(
            f"init={config['init']['name']} draws weights as C cannot, so they would be data, and "
            f"{trainer.parameters:,} are more than {MOST_WEIGHTS:,}"
        )
    state = corpus.documents.shuffled(config["split"], corpus.seed)[1] if drawn else corpus.rng.getstate()
    words = [corpus.seed >> shift & 0xFFFFFFFF for shift in range(0, max(1, corpus.seed.bit_length()), 32)]
    start.lines.append(f"seed(rng, (uint32_t[]){{{', '.join(map(str, words))}}}, {len(words)});")
    if skipped := words_drawn(corpus.seed, state[1]):
        why = "shuffling the documents" if drawn else "shuffling the documents and drawing the weights"
        start.lines.append(f"for (int64_t i = 0; i < {skipped}; i++) random_bits(rng);  // as {why} did")
    for name, w in ({} if drawn else trainer.weights).items():
        start.set(f"carry + {places.at[name]}", w.tolist(), name, f"first_{name.replace('.', '_')}")
    for name, how in (drawn or {}).items():
        what = f"carry + {places.at[name]}, {' * '.join(map(str, places.shapes[name]))}"
        normal = f"normal(rng, {what}, {', '.join(map(repr, how))});"
        start.lines.append(f"{normal if len(how) == 2 else f'fill({what}, {how[0]!r});'}  // {name}")
    at = places.state
    for x in leaves_of(trainer.carry[1]):
        start.set(f"carry + {at}", x.tolist(), at, f"first_state_{at}")
        at += prod(x.shape)
    for memory, program in programs.items():
        for place, table in program.tables.items():
            start.set(f"{memory} + {place}", table, table, f"table_{len(start.names) + 1}")
    return start


class Drawing(Random):
    """A generator that remembers the normal numbers that it has drawn, each after its mean and deviation."""

    def __init__(self, state: Any):
        super().__init__()
        self.setstate(state)
        self.drawn: list[tuple[float, float, float]] = []

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        self.drawn.append((mu, sigma, super().gauss(mu, sigma)))
        return self.drawn[-1][-1]


def draws(trainer: Trainer, split: str) -> dict[str, tuple[float, ...]] | None:
    """Return how each weight was drawn: from a normal distribution, (mean, deviation), or one number for all.

    None if any was drawn in another way, or if they come from elsewhere.
    """
    corpus, found, at = trainer.corpus, dict[str, tuple[float, ...]](), 0
    rng = Drawing(corpus.documents.shuffled(split, corpus.seed)[1])
    matrices = trainer.model.initial_weights(rng)
    for name, rows in matrices.items():
        numbers = [x for row in rows for x in row]
        drawn = rng.drawn[at : at + len(numbers)]
        if numbers == [x for *_, x in drawn] and len({each[:2] for each in drawn}) == 1:
            found[name], at = drawn[0][:2], at + len(numbers)
        elif len(set(numbers)) == 1:
            found[name] = (float(numbers[0]),)
        else:
            return None
    same = all(trainer.backend.tensor(matrices[n]).tolist() == w.tolist() for n, w in trainer.weights.items())
    return found if same and rng.getstate() == corpus.rng.getstate() else None


def words_drawn(seed: int, state: Sequence[int]) -> int:
    """Return how many numbers of 32 bits a generator with this seed has drawn, which is in this state."""
    rng, blocks = Random(seed), 0
    *wanted, used_up = state
    while list(rng.getstate()[1][:-1]) != wanted:
        for _ in range(624):
            rng.getrandbits(32)
        blocks += 1
    return 624 * (blocks - 1) + used_up


def learning_rates(trainer: Trainer, steps: int) -> tuple[str, str]:
    """Return a C function of the learning rate of a step, and the data that it reads if it has no formula."""
    lr, total = trainer.optimizer.lr, trainer.steps
    rates = [lr * trainer.scheduler(step, total) for step in range(steps)]
    head = "static double learning_rate(int64_t step) "
    if len(set(rates)) == 1:
        return f"{head}{{ return (void)step, {rates[0]!r}; }}\n", ""
    if rates == [lr * (1 - step / total) for step in range(steps)]:
        return f"{head}{{ return {lr!r} * (1 - step / {float(total)!r}); }}\n", ""
    declaration = f"static const double rates[{steps}]"
    return f"{declaration};\n{head}{{ return rates[step]; }}\n", array(declaration, map(repr, rates))
