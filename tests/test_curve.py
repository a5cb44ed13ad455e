"""The curve of losses that notebooks show while a run trains."""

import re

import pytest

from microgpt_lab.run.curve import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, LossCurve


def points(svg):
    return [
        [tuple(map(float, point.split(","))) for point in line.split()]
        for line in re.findall(r'points="([^"]*)"', svg)
    ]


def test_the_curve_is_of_the_means_of_steps_and_of_what_is_finite():
    curve = LossCurve(128)  # two steps a column
    assert curve.svg() == ""
    for step, loss in ((1, 4.0), (2, 2.0), (127, 1.0), (128, float("nan"))):
        curve.add(step, loss, 2.0 if step == 2 else None)
    train, val = points(curve.svg())
    width = WIDTH - LEFT - RIGHT
    assert [x for x, _ in train] == pytest.approx([LEFT + width / 128, LEFT + width * 127 / 128], abs=0.1)
    low, high = 1.0 - 0.1, 3.0 + 0.1  # with a margin
    scale = (HEIGHT - BOTTOM - 10) / (high - low)
    assert [y for _, y in train] == pytest.approx([10 + (high - y) * scale for y in (3.0, 1.0)], abs=0.1)
    assert val == [(pytest.approx(LEFT + width * 2 / 128, abs=0.1), pytest.approx(10 + 1.1 * scale, abs=0.1))]
