"""Say in words what a sweep can tell of a setting, and on what terms.

A claim, and nothing else, reads "worse than … by" or "better than … by".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median_low

from microgpt_lab.report.comparison import FEWEST, Comparison, seeds_needed
from microgpt_lab.report.settings import Setting


def decimals(found: Comparison) -> int:
    """Digits after the point that show two digits of a typical interval's half-width."""
    widths = [(high - low) / 2 for low, high in zip(found.low, found.high) if high > low]
    if not widths:
        return 4
    return min(6, max(0, 1 - math.floor(math.log10(median_low(widths)))))


def verdict(found: Comparison, column: int) -> str:
    """What the comparison says of the setting in this column."""
    if column == found.reference:
        return ""
    reference = "the baseline" if found.named else "the best row"
    low, high, digits = float(found.low[column]), float(found.high[column]), decimals(found)
    if not found.significant[column]:
        span = f"between {side(low, digits)} and {side(high, digits)}"
        return f"indistinguishable from {reference} with these {found.seeds} seeds ({span})"
    word, near, far = ("worse", low, high) if found.gap[column] > 0 else ("better", -high, -low)
    if float(f"{near:.{digits}f}") <= 0:
        return f"{word} than {reference} by 0 to {amount(far, digits)}"
    return f"{word} than {reference} by {amount(near, digits)} to {amount(far, digits)}"


def amount(figure: float, digits: int) -> str:
    """A figure with these digits after the point; a very large one as 1.23e+12."""
    return f"{figure:.{digits}f}" if abs(figure) < 1e6 else f"{figure:.3g}"


def side(gap: float, digits: int) -> str:
    return f"{amount(abs(gap), digits)} {'worse' if gap > 0 else 'better'}"


def left_out(setting: Setting, figures: int, of: int) -> str:
    """Why a setting is not compared, which has this many figures of those that it could have."""
    if setting.failed:
        how = "diverged" if setting.statuses.get("diverged") == setting.failed else "failed"
        return f"set aside: {setting.failed} of {setting.runs} runs {how}"
    if not setting.statuses.get("ok"):
        what = ", ".join(f"{n} {status}" for status, n in setting.statuses.items())
        return f"no result ({what})"
    return f"unfinished: {figures} of {of} runs"


def too_few(seeds: int, settings: int) -> str:
    """Why nothing is claimed."""
    if settings < 2:
        return "nothing to compare with"
    return f"no claim with {seeds} {'seed' if seeds == 1 else 'seeds'}: at least {FEWEST} are needed"


def notes(found: Comparison, best: str, candidates: int) -> Iterator[str]:
    """What a reader has to know to read the table right."""
    reference = "the baseline" if found.named else "the best row"
    yield (
        f"Gaps to {reference} are paired by seed ({found.seeds} seeds). 95 %: all intervals of this table "
        "hold at once in 19 of 20 sweeps."
    )
    if found.named:
        yield (
            "A baseline has to be named before the runs. If it was picked after a look at the table, leave "
            "--against out, or confirm on fresh seeds."
        )
        yield (
            "Claims are those of Holm's correction, intervals those of Bonferroni's. Where Holm claims a "
            "little more, the interval ends at 0."
        )
    else:
        yield (
            "A gap is claimed if it is larger than 19 of 20 sweeps would show by luck, were all settings "
            "equal and the best row chosen in the same way."
        )
    if found.seeds < 5 and not found.named:
        most = {3: "9.5", 4: "8"}[found.seeds]
        yield (
            f"With {found.seeds} seeds, up to {most} % of sweeps (instead of 5 %) claim a gap by luck where "
            "settings differ much in noise, and intervals fail as often. Take 5 seeds or more."
        )
    if best:
        yield (
            f"Each row is shown at its best {best}, chosen on these same runs. All {candidates} candidates "
            "count in what luck can do."
        )


def looks_note(looks: list[int], fresh: str) -> str:
    """What it costs to look again; `looks` are the seeds of each report so far, this one's last."""
    times = ", then ".join(map(str, looks))
    return (
        f"This sweep was reported before with fewer seeds ({times}). Adding seeds until something is claimed "
        "makes false claims more frequent: 5 % becomes 9 % with two looks and 15 % with four. To confirm a "
        f"claim, run fresh seeds ({fresh}) into another folder and report them with --against."
    )


def gap_note(found: Comparison, gap: float) -> str:
    """How many seeds a gap of this size needs."""
    noisiest = max(x for x in found.noise if x == x)
    typical, most = (seeds_needed(noise, gap, found) for noise in (found.typical_noise, noisiest))
    if typical is None:
        return f"To claim a gap of {gap:g}, more than 500 seeds are needed."
    many = "more than 500" if most is None else str(most)
    extra = f" ({many} for the noisiest)" if most != typical else ""
    return (
        f"To claim a true gap of {gap:g} in about 3 of 4 sweeps, a typical row needs {typical} seeds in "
        f"all{extra}; there are {found.seeds}."
    )
