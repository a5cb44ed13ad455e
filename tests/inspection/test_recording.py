"""Which line made which Tensor: of the model and of any part, for as long as a Recording lasts."""

import importlib.util
import linecache
import re
import threading

import pytest
from replays import MODELS, TEXT, read, reading

from microgpt_lab.inspection.printing import tensor as printed
from microgpt_lab.inspection.recording import Recording
from microgpt_lab.inspection.source import functions, made_by
from microgpt_lab.tensors.tensor import Tensor
from microgpt_lab.testing import tensor

THIRD_PARTY = '''
class Twice:
    """A norm of somebody else."""

    def __call__(self, x):
        return [self.twice(y) for y in (x,)][0]

    def twice(self, y):
        return y * 2.0 + 0.0
'''


@pytest.mark.parametrize(
    ("name", "op", "line"),
    [
        ("pattern", "softmax", "core/model.py:0: pattern = at.gpt.weighting(scores)"),
        ("mixed", "merge_heads", 'core/model.py:0: return wo(at.see("mixed", (pattern @ v).merge_heads()))'),
        ("layer0.mlp.post", "relu", "plugins/activations/relu.py:0: return ops.relu(x)"),
        ("losses", "-", "core/model.py:0: loss = self.loss(logits, targets)"),
        ("wq", "", ""),
    ],
)
def test_a_tensor_comes_from_an_operation_in_a_line(name, op, line):
    found = printed(read(), name)
    made_by = re.sub(r":\d+:", ":", found.made_by)
    assert found.op == op and made_by.endswith(re.sub(r":\d+:", ":", line)) and bool(made_by) == bool(line)


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_has_an_operation_a_line_and_a_function_with_that_line(model):
    replay = read(model)
    found = functions(replay.origins[id(x)] for x in replay.tensors if id(x) in replay.origins)
    paths = set()
    for x in replay.tensors[len(replay.weights) :]:
        origin = replay.origins[id(x)]
        assert origin.op and (origin.lines or x.shape in ((5, 1), (1, 5), (1, 1)))
        for code, line in origin.lines:
            function = found[code]
            assert function.lines[line - function.first] == linecache.getline(code.co_filename, line).rstrip()
        paths.add(origin.path)
    assert "layer0.attention" in paths and paths <= {"", "embed_norm", "final_norm", "position"} | {
        f"layer{i}.{kind}"
        for i in range(2)
        for kind in ("attention", "mlp", "block", *map("norm{}".format, range(5)))
    }


def test_the_lines_of_a_part_of_somebody_else_are_found(tmp_path):
    (tmp_path / "twice.py").write_text(THIRD_PARTY)
    spec = importlib.util.spec_from_file_location("twice", tmp_path / "twice.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    replay = reading()
    replay.model.norm = module.Twice()
    again = type(replay)(replay.model, replay.labels, TEXT, replay.ids, replay.targets, replay.weights)
    origin = again.origins[id(again.inside["layer0.norm1"])]
    assert made_by(origin) == "twice.py:9: return y * 2.0 + 0.0"
    assert [code.co_qualname for code, _ in origin.lines][:3] == ["Twice.twice", "Twice.__call__", "pre_norm"]
    assert origin.path == "layer0.norm1"


def test_a_recording_leaves_tensors_as_they_were_also_after_an_error():
    before = Tensor.__init__
    with pytest.raises(ZeroDivisionError), Recording() as recording:
        assert Tensor.__init__ is not before
        tensor([[1.0]])
        raise ZeroDivisionError
    assert Tensor.__init__ is before and len(recording.made) == 1
    tensor([[1.0]])
    assert len(recording.made) == 1


def test_a_recording_ignores_other_threads():
    with Recording() as recording:
        thread = threading.Thread(target=lambda: tensor([[1.0]]) * 2.0)
        thread.start()
        thread.join()
        own = tensor([[2.0]])
    assert recording.made == [own]
