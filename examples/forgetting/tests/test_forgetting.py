from math import exp, prod

import forgetting
import pytest

from microgpt_lab import part, seen
from microgpt_lab.testing import small_trainer, tests_of

test_parts = tests_of(forgetting)


def test_equal_scores_are_weighed_by_the_products_of_the_gates_between():
    trainer = small_trainer(part("backend", "numpy"), attention=forgetting.Forgetting())
    wq = "layer0.attention.wq"
    with seen("layer0.attention.*") as inside:
        trainer.model.logits(trainer.weights | {wq: trainer.weights[wq] * 0.0}, [0, 2, 1, 2])
    gates = [[exp(x) for x in row] for row in inside["layer0.attention.log_f"].tolist()]
    for i, row in enumerate(inside["layer0.attention.pattern"].tolist()):  # the rows of each head
        head, t = divmod(i, len(gates))
        products = [prod(gate[head] for gate in gates[s + 1 : t + 1]) for s in range(t + 1)]
        assert row[: t + 1] == pytest.approx([x / sum(products) for x in products], rel=1e-12)
