"""Check that an attention uses the other parts of the model: its position, and its weighting."""

from __future__ import annotations

from microgpt_lab.checks.cases import Case
from microgpt_lab.checks.invariants import assert_cached, assert_causal
from microgpt_lab.checks.small import IDS, random_weights, small_gpt
from microgpt_lab.registry.plugins import part

# Kind and name of a part that an attention may forget, one that does less, and how to use it.
OTHERS = (
    ("position", "rope", "none", "call at.rotate on queries and keys"),
    ("position", "alibi", "none", "call at.bias on scores"),
    ("weighting", "sigmoid", "softmax", "call at.gpt.weighting on scores"),
)


def assert_nothing_ignored(case: Case) -> None:
    """Check an attention, with its defaults, with positions that rotate or bias and with another weighting.

    It is causal, and right with a cache. And it has other logits than without them, or it refuses them.
    """
    for kind, name, plain, advice in OTHERS if not case.options else ():
        try:
            models = [small_gpt(attention=case.built, **{kind: part(kind, each)}) for each in (name, plain)]
            logits = [model.logits(random_weights(model), IDS).tolist() for model in models]
        except ValueError:
            continue
        assert logits[0] != logits[1], f"ignores {kind}={name}: {advice}, or refuse it in weights(gpt)"
        try:
            assert_causal(models[0])
            assert_cached(models[0])
        except AssertionError as error:
            raise AssertionError(f"with {kind}={name}: {error}") from error
