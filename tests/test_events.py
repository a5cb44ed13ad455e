"""Event files of the lab, compared with TensorBoard's own reader and tensorboardX's bytes."""

import math
import struct
import time
from importlib import import_module

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar, text

from microgpt_lab.registry.plugins import registry

registry()
events = import_module("microgpt_lab_plugins.callbacks.tensorboard.events")

TAGS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
FIGURES = st.dictionaries(TAGS, st.floats(), max_size=5)
STEPS = st.integers(0, 2**63 - 1)


def rounded(x):
    """Round to float32; numbers outside its range become infinite."""
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(STEPS, FIGURES), max_size=8))
@example([(1000, {"loss/train": 1e300, "loss/val": -1e39, "optim/lr": math.nan})])
def test_tensorboard_reads_the_figures_that_were_written(tmp_path_factory, written):
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader", reason="needs microgpt-lab[board]"
    )
    file = events.Events(tmp_path_factory.mktemp("events"))
    for step, figures in written:
        file.write(step, summary=events.scalars(figures))
    file.close()
    first, *others = map(Event.FromString, loader.RawEventFileLoader(str(file.path)).Load())
    assert first.file_version == "brain.Event:2"
    found = [(event.step, [(v.tag, v.simple_value) for v in event.summary.value]) for event in others]
    expected = [(step, [(tag, rounded(x)) for tag, x in figures.items()]) for step, figures in written]
    assert repr(found) == repr(expected)  # NaN too


@settings(max_examples=100, deadline=None)
@given(STEPS, FIGURES, st.floats(1, 1e10), st.text(max_size=300))
@example(0, {}, 1.0, "a" * 70_000)
def test_events_are_encoded_as_by_protocol_buffers(step, figures, wall_time, content):
    # tensorboardX replaces some characters of tags
    kept = {tag: x for tag, x in figures.items() if scalar(tag, x).value[0].tag == tag}
    theirs, texts = Summary(), text("samples", content)
    for tag, x in kept.items():
        theirs.MergeFrom(scalar(tag, x))
    for summary, ours in ((theirs, events.scalars(kept)), (texts, texts.SerializeToString())):
        event = Event(wall_time=wall_time, step=step, summary=summary)
        assert events.event(wall_time, step, summary=ours) == event.SerializeToString()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_records_are_framed_as_by_tensorboardx(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "records"
    theirs = RecordWriter(str(path))
    for record in records:
        theirs.write(record)
    theirs.close()
    assert path.read_bytes() == b"".join(map(events.frame, records))


def test_names_of_event_files_sort_by_creation(tmp_path):
    """TensorBoard reads files in the order of their names, and a restart applies to the files before it."""
    others = [f"events.out.tfevents.{int(time.time()) + 1000}.elsewhere", "events.out.tfevents.odd"]
    for name in others:
        (tmp_path / name).touch()
    names = [others[0]]
    for _ in range(3):
        made = events.Events(tmp_path)
        made.close()
        names.append(made.path.name)
    assert names == sorted(names)
    assert [path.name for path in events.own_files(tmp_path)] == names[1:]


def test_remove_later_removes_events_after_a_position(tmp_path):
    files = [events.Events(tmp_path) for _ in range(3)]
    for file in files:
        file.write(1, summary=b"")
        file.close()
    first, second, third = (file.path for file in files)
    whole, header = first.read_bytes(), second.read_bytes()[:40]
    (tmp_path / "elsewhere").write_bytes(b"not to be cut")
    link = tmp_path / f"events.out.tfevents.1{events.SUFFIX}"
    link.symlink_to(tmp_path / "elsewhere")
    events.remove_later(events.own_files(tmp_path), second.name, 40)
    assert first.read_bytes() == whole and second.read_bytes() == header and not third.exists()
    events.remove_later(events.own_files(tmp_path), second.name, 1000)  # a shorter file does not grow
    assert second.read_bytes() == header
    events.remove_later(events.own_files(tmp_path), link.name, 0)
    assert not events.own_files(tmp_path) and (tmp_path / "elsewhere").read_bytes() == b"not to be cut"


def test_an_event_is_in_the_file_when_the_call_returns(tmp_path):
    file = events.Events(tmp_path)
    for step in range(1, 4):
        before = file.path.stat().st_size
        file.write(step, session_log=SessionLog(status=SessionLog.START).SerializeToString())
        assert file.path.stat().st_size > before
    file.close()
