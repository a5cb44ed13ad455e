"""Compare what environment.json says of the sources of parts, between runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from microgpt_lab.registry.folders import FIRST_PARTY
from microgpt_lab.run.folder import Stored

CORE = "core"  # the lab's code that computes the numbers of a run
DIGITS = 8  # of a hash


class Source(NamedTuple):
    """The package, version and hash of a part's source, as a run has recorded them."""

    distribution: str
    version: str
    sha256: str
    first_party: bool

    def __str__(self) -> str:
        """The package and its version; the beginning of the hash if the run has recorded neither."""
        known = " ".join(filter(None, (self.distribution or "version" * bool(self.version), self.version)))
        return known or f"source {self.sha256[:DIGITS]}"


def source(entry: Any) -> Source | None:
    """Read an entry of `parts` or `callbacks`, which may come from someone else; None without a hash."""
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        return None
    provider, *texts = (
        text if isinstance(text := entry.get(key), str) else ""
        for key in ("provider", "distribution", "version", "sha256")
    )
    return Source(*texts, first_party=provider.startswith(f"{FIRST_PARTY}."))


def sources(run: Stored) -> dict[str, Source]:
    """Return the source of each part of a run, as activation=gelu, and of the lab's core.

    Of callbacks, only those of other authors: the lab's do not decide the figures.
    """
    environment, config = run.environment, run.config
    found = {CORE: source({"sha256": environment.get("core"), "provider": f"{FIRST_PARTY}.{CORE}"})}
    for kind, entry in entries(environment, "parts"):
        name = config[kind].get("name") if isinstance(config.get(kind), dict) else None
        found[f"{kind}={name}"] = source(entry)
    for name, entry in entries(environment, "callbacks"):
        if (known := source(entry)) and not known.first_party:
            found[f"callback={name}"] = known
    return {label: known for label, known in found.items() if known}


def entries(environment: Mapping[str, Any], key: str) -> Iterable[tuple[str, Any]]:
    value = environment.get(key)
    return value.items() if isinstance(value, dict) else ()


def differing(runs: Mapping[str, dict[str, Source]]) -> dict[str, dict[str, Source]]:
    """Return the source in each run, by part, of the parts that had several."""
    by_part: dict[str, dict[str, Source]] = defaultdict(dict)
    for run, found in runs.items():
        for label, known in found.items():
            by_part[label][run] = known
    return {label: of_runs for label, of_runs in by_part.items() if len(set(of_runs.values())) > 1}


def names(found: Iterable[Source]) -> dict[Source, str]:
    """Name each source, with the beginning of its hash if two would have the same name."""
    found = list(dict.fromkeys(found))
    times = Counter(map(str, found))
    return {
        each: str(each) if times[str(each)] == 1 else f"{each} ({each.sha256[:DIGITS]})" for each in found
    }
