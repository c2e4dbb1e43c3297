"""Numbers as people read them: counts, seconds, bytes, and columns of one precision."""

import math
from collections.abc import Callable, Iterable, Sequence

from dfo_bench.store.prices import write_money

MISSING = "—"
"""What stands where there is no number."""

TO = "\N{EN DASH}"
"""What stands between two bounds."""


def count(number: float) -> str:
    """12345.4 -> 12,345; MISSING for nan."""
    return MISSING if math.isnan(number) else f"{number:,.0f}"


def seconds(number: float) -> str:
    """0.0123 -> 12 ms, 3.21 -> 3.2 s, 754 -> 12 min 34 s, 7260 -> 2 h 1 min; MISSING for nan."""
    if math.isnan(number):
        return MISSING
    if number < 0.9995:
        return f"{1000 * number:.3g} ms"
    if number < 59.95:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def money(number: float) -> str:
    """1234.5 -> 1,234.50, 0.00123 -> 0.0012, in the currency of a price; MISSING for nan."""
    return MISSING if math.isnan(number) else write_money(number)


def size(number: float) -> str:
    """Bytes in steps of a thousand: 950 -> 950 B, 12345 -> 12.3 kB; MISSING for nan."""
    if math.isnan(number):
        return MISSING
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if number < 999.5 or unit == "PB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.3g} {unit}"


def percent(share: float) -> str:
    """0.1234 -> 12 %, 0.0123 -> 1.2 %, 0.0000123 -> below 0.1 %; MISSING for nan."""
    if math.isnan(share):
        return MISSING
    if 0 < share < 0.001:
        return "below 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def write_seeds(seeds: Sequence[int]) -> str:
    """[0] -> seed 0, [0, 1, 2] -> seeds 0 to 2, [0, 2] -> seeds 0, 2; they are sorted, each once, "" for none."""
    if not seeds:
        return ""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def spread(deviation: float, number: Callable[[float], str]) -> str:
    """Return " ± 0.012" to stand behind a mean; "" where there is none, or none that its digits show."""
    written = number(deviation)
    return f" ± {written}" if deviation > 0 and float(written) > 0 else ""


def precision(numbers: Iterable[float], deviations: Iterable[float] = ()) -> Callable[[float], str]:
    """Return one format for a column: four digits of its largest number from 1 on, three below.

    Where one number of decimals cannot show the smallest, too, it is powers of ten. A deviation is as large as any
    number, but may be as small as it likes.
    """
    sizes = [abs(n) for n in numbers if math.isfinite(n) and n != 0]
    largest = max([*sizes, *(d for d in deviations if math.isfinite(d) and d > 0)], default=1.0)
    if largest >= 1e6 or largest < 1e-3 or largest > 1e4 * min(sizes, default=largest):
        decimals, kind = 3, "e"
    else:
        decimals, kind = max(0, 3 - int(math.log10(largest))), "f"
    return lambda number: f"{number:.{decimals}{kind}}" if math.isfinite(number) else MISSING
