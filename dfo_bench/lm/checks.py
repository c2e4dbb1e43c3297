"""Checks of a text task before a budget is spent on it: functions from its facts to a line, "" where all is well."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from dfo_bench.errors import count
from dfo_bench.lm.data import Row, Split

if TYPE_CHECKING:
    from dfo_bench.lm import TextTask

MARGIN = 0.05
"""By how much of a guess's loss a prompt may raise the loss at the start before it is called worse than none."""

_NAMED = 8
"""How many classes or words a line names."""


_STARTS: "WeakKeyDictionary[TextTask, float]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Facts:
    """What the checks look at."""

    labels: Sequence[str]
    words: Sequence[str]
    """What stands for each label before the model: its word, or its text for head=embedding."""
    pieces: Mapping[str, str]
    """For each label word of which only the first piece is read, that piece."""
    drawn: Split
    test: Sequence[Row]
    test_of_unused: bool
    mode: str
    prompt_tokens: int
    guess: float
    """The train loss of equal outputs for all labels."""
    start: float
    """The train loss at the start; nan where it is not known, and so is `bare`."""
    bare: float
    """The train loss without a prompt."""

    @property
    def pool(self) -> list[Row]:
        """The rows of which train and dev were drawn."""
        return [row for part in self.drawn for row in part]

    @classmethod
    def of(cls, task: "TextTask", bare: "TextTask | None") -> "Facts":
        """Gather the facts of a task; if `bare` is given, the same without a prompt, both starts are evaluated."""
        equal = np.zeros((len(task.drawn.train), len(task.labels)))
        return cls(
            labels=task.labels,
            words=task.shown_words,
            pieces=task.pieces,
            drawn=task.drawn,
            test=task.rows("test") if "test" in task.splits else (),
            test_of_unused=task.test_of_unused,
            mode=task.mode,
            prompt_tokens=task.prompt_tokens,
            guess=task.texts().scores(equal, "train")["loss"],
            start=_start_loss(task) if bare else np.nan,
            bare=_start_loss(bare) if bare else np.nan,
        )


def _start_loss(task: "TextTask") -> float:
    """Return the train loss at the start of a task, which is evaluated once: it may cost money."""
    if task not in _STARTS:
        _STARTS[task] = float(task.evaluate(task.space.start)[0])
    return _STARTS[task]


def rows(facts: Facts) -> str:
    """Say how many rows there are, and what becomes of them."""
    train, dev, unused = facts.drawn
    parts = [f"{len(train)} train", f"{len(dev) or 'no'} dev"]
    test = len(facts.test)
    if facts.test_of_unused:
        return f"{count(len(facts.pool), 'row')} read: {', '.join([*parts, f'{test} test'])}"
    more = " (dev_shots=unused takes them)" if unused else ""
    return (
        f"{count(len(facts.pool), 'row')} read for train and dev: {', '.join(parts)}, {len(unused)} unused{more}; "
        f"{test or 'none'} for test"
    )


def classes(facts: Facts) -> str:
    """Count the rows of every class."""
    pool, test = Counter(row.label for row in facts.pool), Counter(row.label for row in facts.test)
    ordered = sorted(facts.labels, key=lambda label: -pool[label])
    split = "" if facts.test_of_unused or not facts.test else ", and of test"
    named = [f"{label} {pool[label]}" + (f" and {test[label]}" if split else "") for label in ordered]
    return f"{count(len(ordered), 'class', 'classes')}, rows read{split}: {_listed(named)}"


def chance(facts: Facts) -> str:
    """Say what needs no model: the accuracy of the commonest class, and the loss of a guess."""
    said = []
    for split, some in {"dev": facts.drawn.dev, "test": facts.test}.items():
        if some:
            label, most = Counter(row.label for row in some).most_common(1)[0]
            said.append(f"{most / len(some):.3f} on {split} ({label})")
    always = f"always the commonest class: accuracy {', '.join(said)}; " if said else ""
    return f"{always}equal outputs for all labels: loss {facts.guess:.4g}"


def one_class(facts: Facts) -> str:
    """Find a set to score that has one class."""
    sets = {"dev": facts.drawn.dev, "test": facts.test}
    single = {split: found.pop() for split, some in sets.items() if len(found := {row.label for row in some}) == 1}
    said = " and ".join(f"{split} holds one class only, {label!r}" for split, label in single.items())
    return said and f"{said}: its accuracy tells nothing"


def missing_class(facts: Facts) -> str:
    """Find the classes that test lacks."""
    there = {row.label for row in facts.test}
    missing = [label for label in facts.labels if label not in there]
    return f"test has no row of {_listed(missing)}" if missing and len(there) > 1 else ""


def numbers(facts: Facts) -> str:
    """Find labels that are numbers and have no words."""
    bare = [label for label, word in zip(facts.labels, facts.words, strict=True) if label == word and _number(label)]
    if not bare:
        return ""
    return f"labels that are numbers are put to the model as texts: {_listed(bare)}; say what they mean by words"


def pieces(facts: Facts) -> str:
    """Find the label words of which a piece is read."""
    named = [f"{piece!r} of {word!r}" for word, piece in facts.pieces.items()]
    return f"of a label word only the first piece is read: {_listed(named)}; others by words" if named else ""


def overlap(facts: Facts) -> str:
    """Count the texts of test that are among those that train and dev are drawn of."""
    train = [*facts.drawn.train, *facts.drawn.dev] if facts.test_of_unused else facts.pool
    known = {row.texts for row in train}
    both = [row for row in facts.test if row.texts in known]
    if not both:
        return ""
    first = both[0].texts[0]
    shown = first if len(first) <= 40 else first[:39] + "\u2026"
    return f"{len(both)} of {count(len(facts.test), 'test text')} stand in train or dev data, too, such as {shown!r}"


def worse_than_guessing(facts: Facts) -> str:
    """Compare the loss at the start with that of a guess."""
    if not facts.start > facts.guess:
        return ""
    return (
        f"the loss at the start is {facts.start:.4g}, worse than a guess's {facts.guess:.4g}; try other words, another "
        "template, calibrate=bias or another model"
    )


def worse_than_bare(facts: Facts) -> str:
    """Compare the loss at the start with that without a prompt."""
    margin = MARGIN * abs(facts.guess)
    if not facts.start > facts.bare + margin:
        return ""
    return (
        f"{count(facts.prompt_tokens, 'prompt token')} in mode={facts.mode} raise the loss at the start from "
        f"{facts.bare:.4g} to {facts.start:.4g}, by more than {margin:.2g}; try fewer prompt_tokens, another mode, "
        "or the defaults of initial and include_prompt where these were changed"
    )


CHECKS: Sequence[Callable[[Facts], str]] = (
    rows,
    classes,
    chance,
    one_class,
    missing_class,
    overlap,
    numbers,
    pieces,
    worse_than_guessing,
    worse_than_bare,
)


def check_all(facts: Facts) -> list[str]:
    """Return the lines of all checks that have something to say."""
    return [line for function in CHECKS if (line := function(facts))]


def _number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = [f"{len(every) - _NAMED} more"] if len(every) > _NAMED else []
    return ", ".join([*every[:_NAMED], *more])
