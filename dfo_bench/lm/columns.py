"""Which columns of a file hold the texts and the labels: those that are named, or the usual names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dfo_bench.errors import InputError

Named = str | Sequence[str] | None
"""A column as a user names it, a pair of them where a row has two texts, or None for one of the usual names."""

FIELDS = {1: ("text",), 2: ("text_a", "text_b")}
"""The usual columns of the texts, by how many of them make a row."""

LABEL = "label"

_PAIRS = (FIELDS[2], ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"))

_TEXTS = (
    "sentence",
    "utterance",
    "message",
    "content",
    "review",
    "question",
    "query",
    "comment",
    "tweet",
    "document",
    "body",
    "description",
    "subject",
    "title",
)

_LABELS = ("labels", "class", "category", "intent", "sentiment", "topic", "target", "tag")


@dataclass(frozen=True)
class Columns:
    """The columns of a file that are read."""

    texts: Sequence[str]
    label: str | None

    @property
    def usual(self) -> bool:
        """Whether they are called as they are called everywhere here."""
        return self.texts in FIELDS.values() and self.label in (LABEL, None)

    def __str__(self) -> str:
        """Say which they are."""
        named = f"texts in {' and '.join(map(repr, self.texts))}"
        return named if self.label is None else f"{named}, labels in {self.label!r}"


def find_columns(name: str, there: Sequence[str], text: Named, label: str | None, *, labelled: bool) -> Columns:
    """Return the columns of a file, `there` being all; names are matched exactly, else whatever their capitals.

    `labelled` says whether there must be a label; else a column of labels is found where there is just one. Raise
    InputError where a column is not there, or several may be it.
    """
    if text is not None:
        wanted = [text] if isinstance(text, str) else list(text)
        if len(wanted) not in FIELDS:
            raise InputError(f"text={wanted!r} must name one column, or two for pairs")
        texts = tuple(_match(name, there, column, "text") for column in wanted)
    elif pair := _pair(there):
        texts = pair
    else:
        usual = _same(there, FIELDS[1][0])
        texts = (usual or _only(name, there, _among(there, _TEXTS), "text"),)
    if label is not None:
        return Columns(texts, _match(name, there, label, "label"))
    others = [column for column in there if column not in texts]
    found = _same(others, LABEL)
    usual_labels = _among(others, _LABELS)
    if found is None and (labelled or len(usual_labels) == 1):
        found = _only(name, there, usual_labels, "label")
    return Columns(texts, found)


def _pair(there: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a usual pair, () where there is none."""
    for names in _PAIRS:
        found = [column for name in names if (column := _same(there, name)) is not None]
        if len(found) == len(names):
            return tuple(found)
    return ()


def _match(name: str, there: Sequence[str], column: str, parameter: str) -> str:
    if (found := _same(there, column)) is None:
        raise _missing(name, there, column, parameter)
    return found


def _same(there: Sequence[str], column: str) -> str | None:
    """Return the column of a name, else the one that differs in capitals, if there is one."""
    if column in there:
        return column
    folded = [one for one in there if one.casefold() == column.casefold()]
    return folded[0] if len(folded) == 1 else None


def _among(there: Sequence[str], usual: Iterable[str]) -> list[str]:
    return [column for column in there if column.casefold() in usual]


def _only(name: str, there: Sequence[str], found: Sequence[str], parameter: str) -> str:
    """Return the one column that was found; raise InputError where there are none or several."""
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{name}: {' and '.join(map(repr, found))} may each be the column of the {parameter}; name one: "
            f"{_said(parameter)}"
        )
    raise _missing(name, there, parameter, parameter)


def _missing(name: str, there: Sequence[str], column: str, parameter: str) -> InputError:
    return InputError(f"{name}: no column {column!r} among {_listed(there)}; name one of them: {_said(parameter)}")


def _said(parameter: str) -> str:
    return f"{parameter}=COLUMN (dfo-bench predict: --{parameter} COLUMN)"


def _listed(there: Sequence[str], most: int = 20) -> str:
    named = ", ".join(map(repr, there[:most]))
    return f"{named} and {len(there) - most} more" if len(there) > most else named or "none"
