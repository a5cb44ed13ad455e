"""How the text of an exported file is made: its data as literals, and nothing that the run does not use."""

from hypothesis import given
from hypothesis import strategies as st

from microgpt_lab.exchange.python_file.calls import propagated, without_identities
from microgpt_lab.exchange.python_file.data import documents_text, vocabulary_text
from microgpt_lab.exchange.python_file.fold import folded
from microgpt_lab.exchange.python_file.layout import described, laid_out
from microgpt_lab.exchange.python_file.sweep import swept


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_documents_and_vocabulary_survive_as_literals(texts):
    space = {}
    exec(documents_text(texts) + vocabulary_text({"tokens": texts, "pairs": [texts]}), space)
    assert space["DOCUMENTS"] == texts
    assert space["VOCABULARY"] == {"tokens": texts, "pairs": [texts]}


def test_what_an_option_rules_out_is_not_in_the_file():
    text = """
class A:
    def f(self, x, y):
        if self.on and y > 0:
            x = x + 1
        elif y:
            x = x * 2  # otherwise
        if x not in self.names:
            x = x + 3
        kept = self.width or y
        return (x if self.on else -x) * kept
"""
    assert (
        folded(text, {"A": {"on": False, "width": 0, "names": ()}})
        == """
class A:
    def f(self, x, y):
        if y:
            x = x * 2  # otherwise
        x = x + 3
        kept = y
        return (-x) * kept
"""
    )


def test_a_parameter_that_is_always_none_is_not_in_the_file():
    text = """
class A:
    def f(self, x, gain=None):
        return x if gain is None else x * gain

    def g(self, x):
        return self.f(x, None) + self.f(x)
"""
    text = folded(propagated(text, {}), {})
    assert without_identities(text).endswith("        return x + x\n")
    assert "gain" not in text


def test_what_the_program_does_not_use_is_not_in_the_file():
    text = """
def used():
    return A(width=1).size


def unused():
    return used()


class A:
    def __init__(self, *, width: int = 2, height: int = 3):
        self.size, self.height = width, height

    def unused(self):
        return self.unused()


print(used())
"""
    left = laid_out(swept(text))
    assert "unused" not in left and "height" not in left
    assert "        self.size = width\n" in left


def test_docstrings_say_nothing_that_the_file_has_no_longer():
    text = """
class A:
    def f(self, x):
        \"\"\"Return x (docs/a.md): see `B.f`. ValueError if x is not finite.

        Scaled by `scale`. KeyError without a name.
        \"\"\"
        raise KeyError
"""
    assert (
        described(text, {"A.f": {"self", "x", "scale"}})
        == """
class A:
    def f(self, x):
        \"\"\"Return x.

        KeyError without a name.
        \"\"\"
        raise KeyError
"""
    )
