"""Check a data set: texts, the same each time, and no question of a task twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from microgpt_lab.core.documents import Documents, check_returned


@lru_cache(1)
def documents_of(dataset: Callable[[], Any]) -> Any:
    """Return what a data set returned first."""
    return dataset()


def assert_documents(dataset: Callable[[], Any]) -> None:
    """Check that it returns documents, which are strings that are not empty."""
    returned = documents_of(dataset)
    try:
        check_returned("the data set", returned)
    except ValueError as error:
        raise AssertionError(str(error)) from None
    for i, document in enumerate(Documents(returned)):
        assert document, f"document {i} is an empty string"


def assert_repeatable(dataset: Callable[[], Any]) -> None:
    """Check that it returns the same documents each time."""
    first, second = documents_of(dataset), dataset()
    if first != second:
        pairs = enumerate(zip(Documents(first), Documents(second)))
        different = next((f"document {i} was {a!r:.40}, then {b!r:.40}" for i, (a, b) in pairs if a != b), "")
        raise AssertionError(
            "a second call returns other documents: use a random generator with a fixed seed"
            + (different and f" ({different})")
        )


def assert_questions(dataset: Callable[[], Any]) -> None:
    """Check that each document of a task has a question, which no other has."""
    after = getattr(getattr(dataset, "func", dataset), "answer_after", None)
    if not after:
        return
    documents = Documents(documents_of(dataset))
    for i, document in enumerate(documents):
        assert after in document, (
            f"document {i}, '{document}', of a task does not contain answer_after='{after}'"
        )
    questions = Counter(document.partition(after)[0] for document in documents)
    for question, times in questions.most_common(1):
        assert times == 1, (
            f"the question '{question}' occurs {times} times: the model could memorize its answer"
        )


DATASET: dict[str, Callable[[Any], None]] = {
    "documents": assert_documents,
    "repeatable": assert_repeatable,
    "questions": assert_questions,
}
