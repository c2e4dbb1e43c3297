"""The Markdown page of what validations have found."""

from collections.abc import Sequence

from dfo_bench.plugins.component import Component
from dfo_bench.validate import Row, about

COLUMNS = ("figure", "published", "ours", "seeds", "difference", "tolerance", "matched", "test or note")


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as text, in the order of COLUMNS."""
    published, ours = (
        f"{value:.7g}" if error is None else f"{value:.4g} ± {error:.2g}"
        for value, error in zip((row.published, row.ours), row.errors, strict=True)
    )
    seeds = "" if row.seeds is None else str(row.seeds)
    verdict = "yes" if row.matched else "no"
    return (row.what, published, ours, seeds, f"{row.difference:.1e}", f"{row.tolerance:.1e}", verdict, row.note)


def page(found: Sequence[tuple[Component, Sequence[Row]]]) -> str:
    """Return the page; each validation's section is what its file says, and its rows."""
    rows = [row for _, of_one in found for row in of_one]
    command = " ".join(f"'{one}'" if "[" in str(one) else str(one) for one, _ in found)
    missed = sum(not row.matched for row in rows)
    lines = [
        "# Published figures, computed again\n",
        f"Written by `dfo-bench validate {command} --output docs/validation.md`; do not edit.",
        f"{len(rows) - missed} of {len(rows)} figures are matched. `±` is a standard error of the mean, `seeds` the "
        "number of runs or draws that ours rest on. A figure is matched where the difference is at most the "
        "tolerance, which is what the test in the last column allows: with few seeds that is much.",
    ]
    for component, of_one in found:
        lines += [f"\n## {component}\n", f"{about(component.name)}\n", _table()]
        lines += [_line(*cells(row)) for row in of_one]
    return "\n".join(lines) + "\n"


def _table() -> str:
    return _line(*COLUMNS) + "\n" + _line(*("---" for _ in COLUMNS))


def _line(*texts: str) -> str:
    return f"| {' | '.join(' '.join(text.split()).replace('|', chr(92) + '|') for text in texts)} |"
