"""Links in Markdown: find them outside of code, and rewrite them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# A block of code, whose fence may be longer than three, or an inline one; else the target of a link or image.
PIECES = re.compile(
    r"^(?P<fence>`{3,})[^`\n]*$.*?^(?P=fence)$|(?<!`)`[^`\n]+`(?!`)|\]\((?P<link>[^()\s]+)\)", re.M | re.S
)


def rewrite(text: str, change: Callable[[str], str]) -> str:
    """Return Markdown in which `change` has replaced the target of each link and image."""
    return PIECES.sub(lambda found: f"]({change(found['link'])})" if found["link"] else found[0], text)


def links(text: str) -> Iterator[str]:
    """Yield the target of each link and image."""
    return (found["link"] for found in PIECES.finditer(text) if found["link"])


def is_local(link: str) -> bool:
    """Return whether a link leads to another file of the same place."""
    return not re.match(r"\w+:|#", link)


def title(text: str) -> str:
    """Return the first heading of a page, without markup."""
    found = re.search(r"^# (.+)$", text, flags=re.M)
    if not found:
        raise ValueError(f"a page has no title: {text[:60]!r}")
    return found[1].replace("`", "")
