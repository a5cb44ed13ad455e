from math import sqrt

import pytest
import schedule_free

from microgpt_lab.testing import tensor, tests_of

test_parts = tests_of(schedule_free)


def test_steps_on_a_parabola_are_those_of_the_paper():
    beta1, beta2, eps, decay = 0.8, 0.95, 1e-3, 0.1
    rates = [0.05, 0.1, 0.1, 0.1]  # with warmup
    optimizer = schedule_free.ScheduleFree(beta1=beta1, beta2=beta2, eps=eps, weight_decay=decay)
    w = tensor([[2.0]])
    state = optimizer.init(w)
    x, zs, gradients, gammas = 2.0, [2.0], [], []
    for step, lr in enumerate(rates):
        y = (1 - beta1) * zs[-1] + beta1 * x
        assert optimizer.gradient_at(w, state).item() == pytest.approx(y, rel=1e-12)
        gradients.append(3 * y)  # of 3 y² / 2
        w, state = optimizer.update(tensor([[3 * y]]), state, w, lr, step)
        gammas.append(lr * sqrt(1 - beta2 ** (step + 1)))
        v = (1 - beta2) * sum(beta2 ** (step - i) * g**2 for i, g in enumerate(gradients))
        zs.append(zs[-1] - gammas[-1] * gradients[-1] / (sqrt(v) + eps) - gammas[-1] * decay * y)
        x = sum(g**2 * z for g, z in zip(gammas, zs[1:])) / sum(g**2 for g in gammas)
        assert w.item() == pytest.approx(x, rel=1e-12)
