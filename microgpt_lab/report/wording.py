"""Put the result of a comparison into words: the verdict on each setting, and the notes below the table.

Only a claim contains the words "worse than … by" or "better than … by".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median_low

from microgpt_lab.report.choice import Choice
from microgpt_lab.report.comparison import FEWEST, Comparison, detectable_gap, seeds_needed
from microgpt_lab.report.settings import Setting
from microgpt_lab.run.sources import Source
from microgpt_lab.run.sources import names as names_of_sources
from microgpt_lab.sweeps.rounds import Rounds

TRAINING_LOSS = (
    "loss/train is what a run minimizes. In some of these runs that is more than the cross-entropy, so that "
    "rows may not be comparable. --metric loss/ce compares the cross-entropy in training."
)
VALIDATION_LOSS = "loss/val is the cross-entropy alone, whatever training minimizes."
PER_CHARACTER = (
    "Losses per token of different tokenizers cannot be compared: bits_per_char/val is the validation loss "
    "in bits per character, over the same characters whatever the tokenizer."
)
PER_TOKEN = (
    "Warning: losses per token of different tokenizers cannot be compared. --metric bits_per_char/val "
    "compares the validation loss in bits per character."
)


def tokenizers_note(metric: str) -> str:
    """Say which metrics compare different tokenizers; '' if this one is no loss."""
    if metric == "bits_per_char/val":
        return PER_CHARACTER
    return PER_TOKEN if metric.startswith(("loss/", "guessing.")) else ""


def sources_notes(sources: Mapping[str, Mapping[str, Source]], compared: Iterable[str]) -> Iterator[str]:
    """Say which of the compared runs used different versions or sources of a part, or of the lab's code."""
    of_lab = []
    for part, of_runs in sources.items():
        used = Counter(of_runs[run] for run in compared if run in of_runs)
        if len(used) < 2:
            continue
        (first, count), *others = used.most_common()
        name, total = names_of_sources(used), used.total()
        rest = (
            f"the others {name[others[0][0]]}"
            if len(others) == 1
            else ", ".join(f"{n} {name[x]}" for x, n in others)
        )
        if first.first_party:
            of_lab.append(f"{part} ({count} of {total} runs {name[first]}, {rest})")
        else:
            yield f"{count} of {total} runs of {part} used {name[first]}, {rest}."
    if of_lab:
        yield f"The lab's own code was not the same in all runs: {'; '.join(of_lab)}."


def no_curves(metric: str, points: int) -> str:
    """Say why there are no curves."""
    return f"There are no curves, because the runs do not all have {metric} at {points} steps or more."


def decimals(comparison: Comparison) -> int:
    """The number of decimals that shows a typical half-width of an interval with two significant digits."""
    widths = [(high - low) / 2 for low, high in zip(comparison.low, comparison.high) if high > low]
    if not widths:
        return 4
    return min(6, max(0, 1 - math.floor(math.log10(median_low(widths)))))


def verdict(comparison: Comparison, column: int) -> str:
    """The verdict on the setting in this column: a claim, or that it is indistinguishable."""
    if column == comparison.reference:
        return ""
    reference = "the baseline" if comparison.has_baseline else "the best row"
    low, high, digits = float(comparison.low[column]), float(comparison.high[column]), decimals(comparison)
    if not comparison.significant[column]:
        interval = f"between {signed_gap(low, digits)} and {signed_gap(high, digits)}"
        return f"indistinguishable from {reference} with these {comparison.seeds} seeds ({interval})"
    word, near, far = ("worse", low, high) if comparison.gap[column] > 0 else ("better", -high, -low)
    if float(f"{near:.{digits}f}") <= 0:
        return f"{word} than {reference} by 0 to {amount(far, digits)}"
    return f"{word} than {reference} by {amount(near, digits)} to {amount(far, digits)}"


def amount(number: float, digits: int) -> str:
    """A number with this many decimals; a very large one as 1.23e+12."""
    return f"{number:.{digits}f}" if abs(number) < 1e6 else f"{number:.3g}"


def signed_gap(gap: float, digits: int) -> str:
    """The size of a gap and its direction: '0.003 better'."""
    return f"{amount(abs(gap), digits)} {'worse' if gap > 0 else 'better'}"


def left_out(setting: Setting, finished: int, total: int) -> str:
    """Explain why a setting is left out; `finished` of `total` runs have a value."""
    if setting.failed:
        outcome = "diverged" if setting.statuses.get("diverged") == setting.failed else "failed"
        return f"set aside: {setting.failed} of {setting.runs} runs {outcome}"
    if not setting.statuses.get("ok"):
        counts = ", ".join(f"{n} {status}" for status, n in setting.statuses.items())
        return f"no result ({counts})"
    return f"unfinished: {finished} of {total} runs"


def too_few(seeds: int, settings: int) -> str:
    """Say why nothing is claimed."""
    if settings < 2:
        return "nothing to compare with"
    return f"no claim with {seeds} {'seed' if seeds == 1 else 'seeds'}: at least {FEWEST} are needed"


def answer(comparison: Comparison) -> Iterator[str]:
    """Say how many rows are claimed to be better or worse than the reference, if there are several."""
    claimed, others = comparison.significant, len(comparison.gap) - 1
    counts = [("worse than", int((claimed & (comparison.gap > 0)).sum()))]
    if comparison.has_baseline:
        counts.insert(0, ("better than", int((claimed & (comparison.gap < 0)).sum())))
    counts.append(("indistinguishable from", others - int(claimed.sum())))
    reference = "the baseline" if comparison.has_baseline else "the best row"
    found = ", ".join(f"{count} {'is' if count == 1 else 'are'} {word} it" for word, count in counts)
    if others > 1:
        yield f"Of the {others} rows beside {reference}, {found}."


def notes(comparison: Comparison) -> Iterator[str]:
    """The notes that explain how to read the table."""
    reference = "the baseline" if comparison.has_baseline else "the best row"
    yield (
        f"Gaps to {reference} are paired by seed ({comparison.seeds} seeds). The 95 % intervals are "
        "simultaneous: in 19 of 20 sweeps, all intervals of the table contain the true gaps."
    )
    if comparison.has_baseline:
        yield (
            "A baseline must be named before the runs. If it was picked after looking at the table, leave "
            "out --against, or confirm the claims with fresh seeds."
        )
        yield (
            "Claims use Holm's correction, intervals use Bonferroni's, which is stricter. An interval that "
            "would contain 0 although the gap is claimed ends at 0."
        )
    else:
        yield (
            f"A gap is claimed if it is larger, in units of its noise, than the largest gap in "
            f"{100 * comparison.level:g} % of simulated sweeps in which all settings are equal and the best "
            "row is chosen in the same way."
        )
    if comparison.seeds < 5 and not comparison.has_baseline:
        error_rate = {3: "9.5", 4: "8"}[comparison.seeds]
        yield (
            f"With {comparison.seeds} seeds, up to {error_rate} % of sweeps (instead of 5 %) claim a gap by "
            "chance if some settings are much noisier than others. Intervals fail as often. Use at least 5 "
            "seeds."
        )


def choice_notes(choice: Choice) -> Iterator[str]:
    """Say how the values at which the rows are shown were chosen, and where better ones may lie outside."""
    keys, seeds = " and ".join(choice.keys), "seed" if choice.seeds == 1 else "seeds"
    if choice.seeds:
        yield f"Each row is shown at its best {keys}, chosen on {choice.seeds} other {seeds}."
    else:
        yield (
            f"Each row is shown at its best {keys}, chosen on these same runs. The comparison allows for all "
            f"{choice.candidates} candidates."
        )
    if choice.at_end:
        yield f"A wider range may be better: {'; '.join(choice.at_end)}."


def power_note(comparison: Comparison) -> str:
    """Say which true gap this number of seeds is likely to claim, and how many would halve it."""
    gap = detectable_gap(comparison.typical_noise, comparison.seeds, comparison)
    needed = seeds_needed(comparison.typical_noise, gap / 2, comparison)
    return (
        f"With {comparison.seeds} seeds, about 3 of 4 sweeps claim a true gap of {gap:.2g} to a typical row. "
        f"Half of that needs {'more than 500' if needed is None else needed} seeds in total."
    )


def rounds_note(rounds: Rounds, comparison: Comparison) -> str:
    """Say how a sweep with `until` stops, and how its intervals allow for it."""
    seeds = " or ".join(str(look) for look in rounds.looks if look <= comparison.seeds)
    widest = max((high - low) / 2 for low, high in zip(comparison.low, comparison.high) if high == high)
    return (
        f"Seeds were added in rounds: the sweep could stop with {seeds} seeds, once no interval was wider "
        f"than ± {rounds.until:g}. The widest is ± {widest:.2g}. Intervals and claims are at a level of "
        f"{100 * comparison.level:g} %, so that 95 % hold although the sweep chose when to stop."
    )


def looks_note(looks: list[int], fresh: str) -> str:
    """Warn of repeated looks; `looks` has the number of seeds of each report so far, this one last."""
    seeds = ", then ".join(map(str, looks))
    return (
        f"This sweep was reported before with fewer seeds ({seeds}). Adding seeds until a gap is claimed "
        "raises the rate of false claims from 5 % to 9 % with two looks, and to 15 % with four. To confirm a "
        f"claim, run fresh seeds ({fresh}) into another folder and report them with --against."
    )


def gap_note(comparison: Comparison, gap: float) -> str:
    """Say how many seeds are needed to claim this gap."""
    highest_noise = max(x for x in comparison.noise if x == x)
    typical, for_noisiest = (
        seeds_needed(noise, gap, comparison) for noise in (comparison.typical_noise, highest_noise)
    )
    if typical is None:
        return f"To claim a gap of {gap:g}, more than 500 seeds are needed."
    noisiest = "more than 500" if for_noisiest is None else str(for_noisiest)
    extra = f" ({noisiest} for the noisiest)" if for_noisiest != typical else ""
    return (
        f"To claim a true gap of {gap:g} in about 3 of 4 sweeps, a typical row needs {typical} seeds in "
        f"total{extra}. This report has {comparison.seeds} seeds."
    )
