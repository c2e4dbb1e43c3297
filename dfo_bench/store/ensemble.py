"""Ensembles: the selected prompts of several runs of one task, whose log-probabilities are averaged."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from dfo_bench.core import Array, Classifier, InputError, Predicted, Rows
from dfo_bench.runs.columns import PREDICTIONS, SPLITS
from dfo_bench.store.classifier import TextClassifier, build, searches_of
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import TextRun, find_text_runs

SIZE = 5
"""How many prompts are taken where nobody says."""

ENSEMBLE = "ensemble"
"""What stands for the key of an ensemble among those of its runs."""


class Averaged(Classifier):
    """The mean of the log-probabilities of several classifiers: each text costs a call of every one."""

    def __init__(self, members: Sequence[TextClassifier]) -> None:
        super().__init__()
        self._members = members

    def logits(self, rows: Rows) -> Array:
        """Return the means, shape (n, classes)."""
        each = [log_softmax(member.learned.logits(rows), axis=1) for member in self._members]
        return np.asarray(np.mean(each, axis=0))


class Ensemble(TextClassifier):
    """The prompts of several runs as one classifier of texts."""

    def __init__(self, runs: Sequence[TextRun]) -> None:
        """Build the runs; raise InputError where one cannot be built any more."""
        self.runs = list(runs)
        """The runs, the best on dev first."""
        self.members = [build(run) for run in self.runs]
        super().__init__(ENSEMBLE, self.members[0].texts, lambda: Averaged(self.members))
        self.notes = [
            f"ensemble of {len(runs)} runs, {len(runs)} calls a text",
            *(f"run {run.describe()}" for run in self.runs),
            *(note for member in self.members for note in member.notes),
        ]

    def rows_of(self, split: str) -> list[Any]:
        """Return the rows on which all can be scored: of dev those that no member was trained on, of test all have.

        Seeds draw train and dev anew, and a test of unused rows, too.
        """
        splits = [member.texts.splits for member in self.members]
        if split == "dev":
            learned = {row for own in splits for row in own["train"]}
            every = dict.fromkeys(row for own in splits for row in own.get("dev", ()))
            return [row for row in every if row not in learned]
        shared = set.intersection(*(set(own.get(split, ())) for own in splits))
        return [row for row in splits[0].get(split, ()) if row in shared]

    @cached_property
    def logits_of(self) -> Mapping[str, tuple[list[Any], list[Array]]]:
        """The rows of dev and test, and the log-probabilities there: of the ensemble, then of each member."""
        found = {}
        for split in SPLITS:
            if rows := self.rows_of(split):
                each = [log_softmax(member.logits(rows), axis=1) for member in self.members]
                found[split] = rows, [np.mean(each, axis=0), *each]
        return found

    def scores(self) -> pd.DataFrame:
        """Return the accuracy and the cross-entropy of the ensemble and of each member alone, on the same rows.

        One row each, the ensemble first; `calls` is what a text costs.
        """
        named = [{"key": ENSEMBLE, "seed": "", "calls": len(self.runs)}]
        for run in self.runs:
            shown = {name: run.summary.shown[name] for name in ("optimizer", "projection")}
            named.append({"key": run.summary.key, **shown, "seed": str(run.spec.seed), "calls": 1})
        frame = pd.DataFrame(named).fillna("")
        for split, (rows, each) in self.logits_of.items():
            truth = self._truth(rows)
            frame[f"{split}_accuracy"] = [float((one.argmax(axis=1) == truth).mean()) for one in each]
            frame[f"{split}_loss"] = [float(-one[np.arange(len(truth)), truth].mean()) for one in each]
            frame[f"{split}_rows"] = len(rows)
        return frame

    def predictions(self) -> pd.DataFrame:
        """Return what each predicts for the rows, as `Store.predictions` does."""
        from dfo_bench.lm import data

        keys, found = [ENSEMBLE, *(run.summary.key for run in self.runs)], []
        for split, (rows, each) in self.logits_of.items():
            for key, one in zip(keys, each, strict=True):
                kept = Predicted.of(data.digest(rows), self._truth(rows), {"": one})
                found.append((key, split, "accuracy", kept.rows, kept.truth, kept.classes[""]))
        return pd.DataFrame(found, columns=PREDICTIONS)

    def _truth(self, rows: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([self.labels.index(row.label) for row in rows])


def take_ensemble(store: Store, size: int = SIZE, task: str | None = None) -> Ensemble:
    """Return the ensemble of the best searches of a task by dev, then by train loss; of fewer than `size` all.

    Raise InputError where there are searches of several tasks, of several models or data, or fewer than two.
    """
    if size < 2:
        raise InputError(f"an ensemble has at least 2 prompts, not {size}; for one, leave it out")
    found = find_text_runs(store)
    runs = searches_of(store, found, task) if found else []
    made: dict[str, list[str]] = {}
    if runs:
        data = store.runs().set_index("key")["data"]
        for run in runs:
            made.setdefault(str(data[run.summary.key]), []).append(run.summary.key)
    if len(made) > 1:
        named = "; ".join(f"{digest}: {', '.join(keys)}" for digest, keys in sorted(made.items()))
        raise InputError(
            f"{store.path} has searches on {len(made)} states of the data or the model, which are no ensemble: "
            f"{named}; delete all but those of one"
        )
    if len(runs) < 2:
        raise InputError(
            f"{store.path} has {len(runs)} finished searches of a text task, and an ensemble needs 2; make more, such "
            f"as: dfo-bench sweep -t helpdesk -o cma -s 0-4 --store {store.path}"
        )
    return Ensemble(sorted(runs, key=lambda run: (-run.dev, run.loss(store)))[:size])
