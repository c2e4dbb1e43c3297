"""Tables as Markdown and LaTeX read them."""

import re
from collections.abc import Sequence

from dfo_bench.report.format import MISSING

OPEN = "†"
"""What marks a method that is not told from the best."""

_SPECIAL = {
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "·": r"$\cdot$", MISSING: "---", "<": r"\textless{}", ">": r"\textgreater{}", OPEN: r"$^\dagger$",
}  # fmt: skip


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return re.sub(r"([|*_`<\\])", r"\\\1", text)


def escape_latex(text: str) -> str:
    """Return a text that LaTeX prints as it is, whatever its encoding."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], note: str, words: int = 1) -> str:
    """Return a table as GitHub reads it, its note below; cells are escaped already, the first `words` are words."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *rows]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", note, ""])


def latex_row(cells: Sequence[str]) -> str:
    """Return a row of a `tabular`; its cells are escaped already."""
    return " & ".join(cells) + r" \\"


def latex_table(head: Sequence[str], lines: Sequence[str], caption: str, words: int = 1) -> str:
    """Return a `tabular` of booktabs in a `table`; all is escaped already, the first `words` cells are words."""
    return "\n".join([
        r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(head) - words)}}}", r"\toprule",
        latex_row(head), r"\midrule", *lines, r"\bottomrule",
        r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip
