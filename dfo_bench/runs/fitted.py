"""A reference as a task: its fit is the one evaluation of a run, and what it has learned is measured.

So loop, journal, store and report need not know what a reference is.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from dfo_bench.core import (
    Array,
    Classifier,
    Cost,
    EmbeddingOptimizer,
    FitProgress,
    InputError,
    Points,
    Reference,
    Scores,
    Task,
)
from dfo_bench.errors import UnfitError
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.registry import REFERENCES, TASKS, method_kind
from dfo_bench.runs.spec import RunSpec

WHOLE = Component("identity")
"""The projection in the spec of a reference, which has none."""


def settle(spec: RunSpec) -> RunSpec:
    """Return the spec of a run; that of a reference without all that its result does not depend on.

    So it is fitted once per task, model, data and seed: the prompt is none, the dimension 0, the budget 1. Raise
    InputError where its task has no texts.
    """
    if method_kind(spec.optimizer.name) is not REFERENCES:
        return spec
    bare = TASKS.load(spec.task.name).bare
    if not bare:
        raise InputError(
            f"{spec.optimizer.name} is a reference, which learns from texts, and {spec.task.name} has none; use a text "
            "task such as helpdesk or sst2"
        )
    return RunSpec(spec.task.replace(**bare), spec.optimizer, WHOLE, 0, 1, spec.seed)


class Once(EmbeddingOptimizer):
    """Asks for the start, once."""

    evaluations = 1

    def ask(self) -> Points:
        """Return the start."""
        return self.space.start

    def tell(self, losses: Array) -> None:
        """Learn nothing."""


class Fitted(Task):
    """A bare text task whose evaluation is the fit of a reference, with its loss on train."""

    def __init__(self, inner: Task, name: str, make: Callable[[], Reference]) -> None:
        """`make` builds the reference anew, from the same seed; raise UnfitError where the task lacks what it needs."""
        self.inner, self._make = inner, make
        reference = make()
        texts = inner.texts()
        if reference.sees not in texts.offers:
            raise UnfitError(
                f"{name} sees {reference.sees}, and the task offers only {', '.join(texts.offers)}; use another "
                "reference, or another model"
            )
        if reference.selects and "dev" not in inner.splits:
            raise UnfitError(f"{name} selects on dev, and the task has none; pass a dev_shots of 1 or more")
        try:
            self.view = reference.view(texts)
            self.cost = reference.cost(self.view)
        except InputError as error:
            raise UnfitError(str(error)) from error
        self._plain, self._sees = not reference.fitted, reference.sees
        self.space, self.optimum, self.tolerance = inner.space, None, inner.tolerance
        self.splits, self.metric, self.contents = inner.splits, inner.metric, inner.contents
        self.backend, self.patience_s, self.traffic = inner.backend, inner.patience_s, inner.traffic
        self.progress: FitProgress = lambda share: None
        """What is told of the fit; a run sets it."""

    def fastest(self, evaluations: int) -> str:
        """Return the backend for the outputs of the text task."""
        return self.inner.fastest(evaluations)

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of the outputs that a fit asks for; nan where it trains the model's weights."""
        return np.nan if self._sees == "weights" else self.view.call_seconds(backend)

    def measuring_cost(self, split: str) -> Cost:
        """Return what the text task's outputs will cost, in proportion to those on train."""
        cost = self.inner.measuring_cost(split)
        return Cost(**{name: round(self._larger * value) for name, value in vars(cost).items()})

    @property
    def _larger(self) -> float:
        """How many times as many tokens a text has as in the text task: its prompt may hold demonstrations."""
        return self.cost.tokens / self.inner.cost.tokens

    @cached_property
    def classifier(self) -> Classifier:
        """What the reference has learned: fitted when it is first needed, and again after a resume."""
        return self._make().fit(self.view, self.progress)

    @property
    def events(self) -> Sequence[str]:
        """Those of the texts, and what dev has selected."""
        chosen = vars(self).get("classifier")
        values = ", ".join(f"{name}={value}" for name, value in chosen.chosen.items()) if chosen else ""
        return [*self.view.events, *([f"selected on dev: {values}"] if values else [])]

    def evaluate(self, points: Points) -> Array:
        """Return the loss on train, shape (n,): that of the fit, whatever the points."""
        logits = self._logits("train")
        loss = self.view.scores(logits, "train")["loss"] if np.isfinite(logits).all() else np.nan
        return np.full(len(points), loss)

    def score(self, point: Points, split: str) -> Scores:
        """Return the metrics and the loss on a split, what it costs to ask for its outputs, and what is predicted.

        On test those of a reference that learns nothing stand there with a bias per class, too (`calibrated_`).
        """
        logits = {"": self._logits(split)}
        if split == "test" and self._plain:
            logits["calibrated_"] = self.view.calibrated(logits[""], self._logits("train"))
        found = {
            f"{prefix}{name}": value
            for prefix, some in logits.items()
            for name, value in self.view.scores(some, split).items()
        }
        return Scores(found, self.view.cost(split), self.view.predicted(logits, split))

    def _logits(self, split: str) -> Array:
        return self.classifier.logits(self.view.rows(split))
