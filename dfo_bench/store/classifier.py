"""The result of a run as what classifies texts."""

import shlex
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.special import softmax

from dfo_bench.core import Array, Classifier, FitProgress, InputError, Points, Rows, Unavailable, UnknownNameError
from dfo_bench.errors import ReplayError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.fitted import Fitted
from dfo_bench.runs.rebuild import rebuild
from dfo_bench.store.replay import find_best, no_replay
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import BEST, TextRun, find_differences, find_text_runs, name_task, without_service
from dfo_bench.threads import single_threaded

if TYPE_CHECKING:
    from dfo_bench.lm import TextTask
    from dfo_bench.lm.texts import Texts

_AT_ONCE = 512
"""The texts between two reports of progress."""


class TextClassifier:
    """What a run has found, a prompt or a reference, as a classifier of texts.

    Texts are strings, or pairs of strings where the task takes two.
    """

    def __init__(self, key: str, texts: "Texts", make: Callable[[], Classifier]) -> None:
        """`make` fits a reference again, or takes the prompt; it is called when the first text comes."""
        self.key = key
        """The run that it was taken from."""
        self.labels = texts.labels
        """The labels, in the order of `probabilities`."""
        self.fields = texts.asked.fields
        """How many texts make a row: 1, or 2 for pairs."""
        self.limit = texts.asked.limit
        """How many tokens of a text with its template are read."""
        self.notes: list[str] = []
        """What is to be known of the run: which it is, and what is better or has changed."""
        self.texts, self._make = texts, make
        """The texts that it was learned from, and the model that is asked."""

    def predict(self, texts: Sequence[Any]) -> list[str]:
        """Return the label of each text."""
        return self.name(self.logits(self.rows(texts)))

    def probabilities(self, texts: Sequence[Any]) -> Array:
        """Return the probability of each label, shape (n, classes): the softmax of the label logits."""
        return np.asarray(softmax(self.logits(self.rows(texts)), axis=1))

    def rows(self, texts: Sequence[Any]) -> Rows:
        """Return texts as the model takes them; raise InputError for what are no texts of this task."""
        from dfo_bench.lm.unlabelled import rows_of

        return rows_of(texts, self.fields)

    def name(self, logits: Array) -> list[str]:
        """Return the label of each row of logits."""
        return [self.labels[index] for index in logits.argmax(axis=1)]

    def logits(self, rows: Rows, progress: FitProgress = lambda share: None) -> Array:
        """Return the label logits, shape (n, classes), after the task's calibration; `progress` hears the share done.

        Raise InputError where one is not finite.
        """
        # Texts of about one length are computed together, and the longest come first, at the peak of memory.
        order = sorted(range(len(rows)), key=lambda i: -sum(map(len, rows[i].texts)))
        found = np.empty((len(rows), len(self.labels)))
        for begin in range(0, len(order), _AT_ONCE):
            some = order[begin : begin + _AT_ONCE]
            found[some] = self.learned.logits([rows[i] for i in some])
            progress((begin + len(some)) / len(order))
        if wrong := np.flatnonzero(~np.isfinite(found).all(axis=1)).tolist():
            raise InputError(
                f"{rows[wrong[0]].where}: the model's outputs are not finite under run {self.key}; take another run"
            )
        return found

    def truncated(self, rows: Rows) -> int:
        """Return how many of the texts are cut to what the model takes."""
        room = self.texts.asked.room
        # A token has a byte at least: a text of no more bytes than tokens fit need not be cut into tokens once more.
        long = [row for row in rows if sum(len(text.encode()) for text in row.texts) > room]
        return self.texts.asked.cut(long)

    @cached_property
    def learned(self) -> Classifier:
        """What the run has learned."""
        # As in a run: what threads add up in another order differs in the last bits.
        with single_threaded():
            return self._make()


def take_classifier(store: Store, run: str = BEST, task: str | None = None) -> TextClassifier:
    """Return the classifier of a run, or of the best search of a task (see `choose`)."""
    chosen, notes = take_run(store, run, task)
    classifier = build(chosen)
    classifier.notes = [f"run {chosen.describe()}", *notes, *classifier.notes]
    return classifier


def take_run(store: Store, run: str = BEST, task: str | None = None) -> tuple[TextRun, list[str]]:
    """Return the run that is meant, and what is better than it (see `choose`)."""
    runs = find_text_runs(store)
    if not runs:
        raise InputError(
            f"{store.path} has no finished run of a text task; make one with: "
            f"dfo-bench run -t helpdesk -o cma -b 300 --store {store.path}"
        )
    if run == BEST:
        return choose(store, runs, task)
    if task is not None:
        raise InputError(f"task {task!r} changes nothing beside run {run}; leave out one of them")
    return _find(store, runs, run), []


def choose(store: Store, runs: Sequence[TextRun], task: str | None = None) -> tuple[TextRun, list[str]]:
    """Return the best search by dev, then by train loss, and the references of its seed that dev likes better.

    Of the searches of `task` (as -t takes it), or of the only one there is; raise InputError where there are several.
    """
    of_task = searches_of(store, runs, task)
    highest = max(one.dev for one in of_task)
    # Only where dev does not decide, for a curve is read for it.
    tied = [one for one in of_task if one.dev == highest]
    best = min(tied, key=lambda one: one.loss(store)) if len(tied) > 1 else tied[0]
    rivals = [
        one
        for one in runs
        if one.reference and (one.task, one.spec.seed) == (best.bare, best.spec.seed) and one.dev > best.dev
    ]
    rivals.sort(key=lambda one: -one.dev)
    return best, [f"a reference is better on dev: run {one.describe()}" for one in rivals[:1]]


def searches_of(store: Store, runs: Sequence[TextRun], task: str | None = None) -> list[TextRun]:
    """Return the searches of a task (as -t takes it), or of the only one; raise InputError where there are several."""
    searches = [one for one in runs if not one.summary.baseline]
    if not searches:
        best = max(runs, key=lambda one: one.dev)
        raise InputError(f"{store.path} has no finished search; take another run: --run {best.describe()}")
    tasks = sorted({one.task for one in searches})
    wanted = tasks[0] if task is None else name_task(parse(task))
    if task is None and len(tasks) > 1:
        named = "; ".join(f"--task {shlex.quote(one)}" for one in tasks)
        raise InputError(f"{store.path} has searches of {len(tasks)} tasks; choose one: {named}")
    if wanted not in tasks:
        raise UnknownNameError(f"searched task in {store.path}", wanted, tasks)
    return [one for one in searches if one.task == wanted]


def build(run: TextRun, *, here: bool = False) -> TextClassifier:
    """Return the classifier of a run; raise InputError where its model or its data are not what they were.

    `here` asks for the model in this process, though the run asked a service.
    """
    with single_threaded():
        assembly, changed = _assemble(run, here=here)
        if isinstance(fitted := assembly.task, Fitted):
            classifier = TextClassifier(run.summary.key, cast("Texts", fitted.view), lambda: fitted.classifier)
        else:
            assert run.summary.selected
            point = rebuild(run.summary.selected.recipe, assembly.task.space, assembly.embed)
            classifier = _of_prompt(run.summary.key, assembly, point)
    classifier.notes = changed
    return classifier


def build_best(store: Store, run: TextRun, size: int) -> list[TextClassifier]:
    """Return the classifiers of a search's best prompts that differ, `size` at most: what was selected comes first.

    The others have the lowest train losses of the run. Their keys are KEY:EVALUATION. Raise InputError as `build` does,
    and where the run cannot be replayed.
    """
    key = run.summary.key
    if run.summary.baseline:
        raise InputError(f"run {key} evaluated one prompt; take a search, or leave out --run")
    with single_threaded():
        assembly, changed = _assemble(run)
        assert run.summary.selected
        try:
            if reason := no_replay(assembly):
                raise ReplayError(reason)
            best = find_best(assembly, store.curves([key]), run.summary.selected.evaluation, size)
        except ReplayError as error:
            raise InputError(
                f"the prompts of run {key} cannot be had again: {error}; take another run, or leave out --run"
            ) from error
        found = [_of_prompt(f"{key}:{evaluation}", assembly, point) for evaluation, point in best.items()]
    found[0].notes = changed
    return found


def _assemble(run: TextRun, *, here: bool = False) -> tuple[Assembly, list[str]]:
    """Return the parts of a run, and which plugins have changed (see `find_differences`)."""
    try:
        assembly = assemble(without_service(run.spec) if here else run.spec)
    except (InputError, Unavailable) as error:
        raise InputError(
            f"run {run.summary.key} cannot be built again: {error}; if data or a model moved: "
            "dfo-bench relocate OLD=NEW"
        ) from error
    return assembly, find_differences(assembly, run.summary, "take another run")


def _of_prompt(key: str, assembly: Assembly, point: Points) -> TextClassifier:
    task = cast("TextTask", assembly.task)
    return TextClassifier(key, task.texts(point), lambda: task.classifier(point))


def _find(store: Store, runs: Sequence[TextRun], key: str) -> TextRun:
    """Return the run of a key; raise InputError where there is none that can be used."""
    for one in runs:
        if one.summary.key == key:
            return one
    if key in set(store):
        summary = store.summary(key)
        ended = summary and summary.status == "finished"
        reason = "its task is no text task" if ended else f"it {summary.status if summary else 'has not finished'}"
        raise InputError(f"run {key} classifies no texts: {reason}; take another run of {store.path}, or --run {BEST}")
    raise UnknownNameError(f"run in {store.path}", key, [BEST, *(one.summary.key for one in runs)])
