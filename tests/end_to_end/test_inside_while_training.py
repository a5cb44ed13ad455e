"""Diagnostics, pictures, watched numbers and the live view of runs from the command line."""

import json
import re
from importlib import import_module
from io import StringIO

import pytest
from rich.console import Console as Screen

from microgpt_lab.options.compose import compose
from microgpt_lab.options.shorthand import expand
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.execute import execute
from microgpt_lab.run.record import Run

registry()
live = import_module("microgpt_lab_plugins.callbacks.console.live")

SHORT = ("backend=numpy", "steps=6", "eval_docs=3", "samples=2", "embed=8", "eval_every=2", "train_docs=50")
CALLBACKS = "callback=[jsonl,tensorboard,checkpoint,diagnostics,pictures,watch]"
KILLER = """
import os
from microgpt_lab import hookimpl

@hookimpl
def step_finished(step):
    if step == 5:
        os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def config():
    return compose([*SHORT, CALLBACKS, "callback.watch.every=2", "callback.checkpoint.every=3"])


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The folder of a run that was not stopped."""
    run = Run(config, tmp_path_factory.mktemp("whole") / "run")
    execute(run)
    return run.folder


def board(folder):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs microgpt-lab[board]"
    )
    sizes = {"scalars": 0, "tensors": 0, "images": 0}
    return accumulator.EventAccumulator(str(folder), size_guidance=sizes).Reload()


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_tensorboard_shows_what_was_measured_in_one_event_file(whole):
    assert len(list(whole.glob("events.out.tfevents.*"))) == 1
    shown, measured = board(whole), lines(whole, "diagnostics.jsonl")
    assert [line["step"] for line in measured] == [2, 4, 6]
    for name in measured[0].keys() - {"step"}:
        points = {event.step: event.value for event in shown.Scalars(f"stats/{name}")}
        assert points == pytest.approx({line["step"]: line[name] for line in measured}, rel=1e-6), name
        assert shown.SummaryMetadata(f"stats/{name}").summary_description
    watched = lines(whole, "watch.jsonl")
    gradients = {event.step: event.value for event in shown.Scalars("stats/watch/wte.0.0/grad")}
    assert gradients == pytest.approx({line["step"]: line["wte:0:0/grad"] for line in watched}, rel=1e-6)
    assert list(gradients) == [0, 2, 4, 6]
    images = shown.Images("model/attention/layer0")
    assert [image.step for image in images] == [2, 4, 6]
    assert all(image.encoded_image_string.startswith(b"\x89PNG") and image.width > 100 for image in images)


def test_three_charts_show_all_gradients_updates_and_activations(whole):
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    shown = board(whole)
    (event,) = shown.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(event.tensor_proto.string_val[0]).category
    charts = {chart.title: chart.multiline.tag for chart in category.chart}
    assert list(charts) == ["gradients", "updates", "activations"]
    for title, (pattern,) in charts.items():
        tags = [tag for tag in shown.Tags()["scalars"] if re.search(pattern, tag)]
        assert len(tags) >= 5 and all(f"/{title}/" in tag for tag in tags)


def test_a_killed_run_continues_its_files_as_if_it_had_not_been_stopped(lab, tmp_path, whole):
    killer = tmp_path / "killer"
    killer.mkdir()
    (killer / "killer.py").write_text(KILLER)
    options = (*SHORT, CALLBACKS, "callback.watch.every=2", "callback.checkpoint.every=3")
    lab(*options, "hydra.run.dir=run", env={"MICROGPT_LAB_PLUGINS": str(killer)}, check=-9)
    lab("resume", "run", check=0)
    for name in ("diagnostics.jsonl", "watch.jsonl"):
        assert (tmp_path / "run" / name).read_text() == (whole / name).read_text()
    first, second = board(whole), board(tmp_path / "run")
    for tag in first.Tags()["scalars"]:
        if tag.startswith("stats/"):
            assert [(e.step, e.value) for e in first.Scalars(tag)] == [
                (e.step, e.value) for e in second.Scalars(tag)
            ], tag
    assert len(second.Tensors("custom_scalars__config__")) == 1


def test_short_forms_are_written_out():
    more = "callback=[console,jsonl,tensorboard,samples,checkpoint,diagnostics]"
    assert expand("callback=[...,diagnostics]") == expand("callback=[…, diagnostics]") == [more]
    assert expand("callback=[jsonl,diagnostics]") == ["callback=[jsonl,diagnostics]"]
    on = "+callback@callback.watch=watch"
    assert expand("watch=[wq[2, 5],wte:0:1]") == [on, "callback.watch.numbers='wq[2,5] wte:0:1'"]
    assert expand("watch=wte:0:1") == [on, "callback.watch.numbers='wte:0:1'"]
    assert expand("layers=2") == ["layers=2"]


def test_watch_prints_numbers_as_they_change(lab, tmp_path):
    printed = lab(
        *SHORT, "callback=[]", "watch=[layer0.attention.wq:1:2]", "hydra.run.dir=run", check=0
    ).stdout
    (line,) = lines(tmp_path / "run", "watch.jsonl")[-1:]
    name = "layer0.attention.wq:1:2"
    assert printed.splitlines()[-1] == (
        f"step 6  {name}  {line[f'{name}/data']:+.6f}  gradient {line[f'{name}/grad']:+.2e}"
    )
    wrong = lab(*SHORT, "watch=[wq:99:0]", check=2)
    assert wrong.stderr == (
        "error: callback=watch: wq:99:0: layer0.attention.wq is 8 × 8, and rows and columns count from 0\n"
    )


def test_the_live_view_changes_nothing_in_a_pipe(lab):
    plain, viewed = (
        lab(*SHORT, "callback=[console]", f"callback.console.live={on}", check=0).stdout
        for on in ("false", "true")
    )
    first, second = (
        re.sub(r"[\d,.]+ tok/s|\d+s left|callback.console.live=\w+|[\d.]+s$|runs/\S+", "", text, flags=re.M)
        for text in (plain, viewed)
    )
    assert first == second


def test_a_curve_falls_from_the_upper_left_to_the_lower_right():
    curve = live.Curve(20, 100)
    for step in range(1, 51):
        curve.add(step, 3 - step / 50)
    rows = list(curve.lines())
    assert rows[0].startswith("   2.9") and rows[-1].startswith("   2.0")
    assert all(len(row) == 9 + 20 for row in rows)
    columns = [[x for x, cell in enumerate(row[9:]) if cell != " "] for row in rows]
    assert columns == sorted(columns) and columns[0][0] == 0 and columns[-1][-1] == 9  # half of the steps


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_view_fits_into_the_terminal(config, width):
    trainer = assemble(config, load_documents(config))
    screen = Screen(width=width, height=30, file=StringIO(), force_terminal=True, record=True)
    view = live.LiveView(trainer, screen, "progress")
    try:
        for step, metrics in enumerate(trainer.advance(4), start=1):
            view.step_finished(step, metrics["loss/train"])
        view.evaluated(4)
        shown = Screen(width=width, file=StringIO(), record=True)
        shown.print(view.picture())
    finally:
        view.stop()
    text = shown.export_text().splitlines()
    assert len(text) == 1 + live.HEIGHT + 2 and max(map(len, text)) <= width
    assert text[-2].startswith("samples  step 4: ") and text[-1].startswith("health   update ")


def test_health_is_said_of_what_is_there():
    figures = {"updates/wte": -2.0, "updates/lm_head": float("nan"), "activations/dead/layer0.mlp": 0.25}
    assert live.health_line(figures) == "update 1.00% of weights · dead units 25%"
    assert live.health_line({}) == ""
