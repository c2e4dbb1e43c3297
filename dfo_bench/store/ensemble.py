"""Ensembles: several prompts that answer one question, whose log-probabilities are averaged.

They are those that several runs selected, of one task or of tasks that differ in their prompt alone, or one run's best.
Boosted, they vote instead, each with a weight that is fitted on train.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from dfo_bench.core import Array, Classifier, InputError, Predicted, Rows
from dfo_bench.errors import count
from dfo_bench.runs.columns import PREDICTIONS, SPLITS
from dfo_bench.runs.titles import split_prompt
from dfo_bench.store.boosting import boost, votes
from dfo_bench.store.classifier import TextClassifier, build, build_best, searches_of, take_run
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import TextRun, find_text_runs

SIZE = 5
"""How many prompts are taken where nobody says."""

ENSEMBLE, BOOSTED = "ensemble", "boosted"
"""What stands for the key of an ensemble among those of its runs."""


class Averaged(Classifier):
    """The mean of the log-probabilities of several classifiers: each text costs a call of every one."""

    def __init__(self, members: Sequence[TextClassifier]) -> None:
        super().__init__()
        self._members = members

    def logits(self, rows: Rows) -> Array:
        """Return the means, shape (n, classes)."""
        return np.asarray(np.mean(_log_probabilities(self._members, rows), axis=0))


class Boosted(Classifier):
    """The weighted votes of several classifiers: each text costs a call of every one that has a weight."""

    def __init__(self, members: Sequence[TextClassifier], weights: Array) -> None:
        super().__init__()
        self._members = [member for member, weight in zip(members, weights, strict=True) if weight]
        self._weights = weights[weights > 0]

    def logits(self, rows: Rows) -> Array:
        """Return the votes, shape (n, classes)."""
        return votes(_log_probabilities(self._members, rows), self._weights)


def _log_probabilities(members: Sequence[TextClassifier], rows: Rows) -> Array:
    """Return those of each member, shape (members, n, classes)."""
    return np.array([log_softmax(member.learned.logits(rows), axis=1) for member in members])


class Ensemble(TextClassifier):
    """Several prompts as one classifier of texts."""

    def __init__(self, runs: Sequence[TextRun], members: Sequence[TextClassifier], *, boosted: bool = False) -> None:
        self.runs, self.members, self.boosted = list(runs), list(members), boosted
        """The run of each member, the members, the first the one to beat, and whether they vote by weights."""
        # What is said of texts that are cut holds of the member that cuts most.
        least = min(self.members, key=lambda member: member.texts.asked.room)
        super().__init__(BOOSTED if boosted else ENSEMBLE, least.texts, self._combine)
        own = list({run.summary.key: run for run in self.runs}.values())
        of = f"{len(own)} runs" if len(own) > 1 else f"{len(runs)} prompts of one run"
        self.notes = [
            f"ensemble of {of}, {len(runs)} calls a text",
            *(f"run {run.describe()}" for run in own),
            *(note for member in self.members for note in member.notes),
        ]
        if boosted:
            texts = count(len(self.rows_of("train")), "train text")
            self.notes[0] += f" at most; the weights are fitted on {texts}, {len(runs)} calls each"

    def _combine(self) -> Classifier:
        return Boosted(self.members, self.weights) if self.boosted else Averaged(self.members)

    @cached_property
    def weights(self) -> Array:
        """The weight of each member's vote, shape (members,): fitted on all texts that a member was trained on.

        The store keeps no outputs on train, so each member is asked for all of these. Raise InputError where no member
        is better than a guess there.
        """
        rows = self.rows_of("train")
        truth = self._truth(rows)
        hits = np.array([member.logits(rows).argmax(axis=1) == truth for member in self.members])
        weights = boost(hits, len(self.labels))
        if not weights.any():
            raise InputError(
                f"none of the {len(self.runs)} prompts is better than a guess on the {count(len(rows), 'train text')}, "
                "so none gets a weight; leave out --boosted, or search more"
            )
        return weights

    def rows_of(self, split: str) -> list[Any]:
        """Return the rows on which all can be scored: of dev those that no member was trained on, of test all have.

        Of train all that a member was trained on. Seeds draw train and dev anew, and a test of unused rows, too.
        """
        splits = [member.texts.splits for member in self.members]
        learned = dict.fromkeys(row for own in splits for row in own["train"])
        if split == "train":
            return list(learned)
        if split == "dev":
            every = dict.fromkeys(row for own in splits for row in own.get("dev", ()))
            return [row for row in every if row not in learned]
        shared = set.intersection(*(set(own.get(split, ())) for own in splits))
        return [row for row in splits[0].get(split, ()) if row in shared]

    @cached_property
    def logits_of(self) -> Mapping[str, tuple[list[Any], list[Array]]]:
        """The rows of dev and test, and the log-probabilities there, in the order of `keys`."""
        found = {}
        for split in SPLITS:
            if rows := self.rows_of(split):
                each = np.array([log_softmax(member.logits(rows), axis=1) for member in self.members])
                voted = [log_softmax(votes(each, self.weights), axis=1)] if self.boosted else []
                found[split] = rows, [*voted, each.mean(axis=0), *each]
        return found

    @property
    def keys(self) -> list[str]:
        """What is scored: boosted, where it is, the average, and each member."""
        return [*([BOOSTED] if self.boosted else []), ENSEMBLE, *(member.key for member in self.members)]

    def scores(self) -> pd.DataFrame:
        """Return the accuracy and the cross-entropy of the ensemble and of each member alone, on the same rows.

        One row each, in the order of `keys`; `calls` is what a text costs. `prompt` is there where the tasks have
        several: what their prompts are. Boosted, `weight` is that of a member.
        """
        named: list[dict[str, Any]] = [{"key": ENSEMBLE, "seed": "", "calls": len(self.runs)}]
        several = len({run.task for run in self.runs}) > 1
        for run, member in zip(self.runs, self.members, strict=True):
            prompt = {"prompt": split_prompt(run.task)[1]} if several else {}
            shown = {name: run.summary.shown[name] for name in ("optimizer", "projection")}
            named.append({"key": member.key, **prompt, **shown, "seed": str(run.spec.seed), "calls": 1})
        if self.boosted:
            named = [{"key": BOOSTED, "seed": "", "calls": np.count_nonzero(self.weights)}, *named]
            for row, weight in zip(named[2:], self.weights, strict=True):
                row["weight"] = float(weight)
        frame = pd.DataFrame(named).fillna({"prompt": "", "optimizer": "", "projection": ""})
        for split, (rows, each) in self.logits_of.items():
            truth = self._truth(rows)
            frame[f"{split}_accuracy"] = [float((one.argmax(axis=1) == truth).mean()) for one in each]
            frame[f"{split}_loss"] = [float(-one[np.arange(len(truth)), truth].mean()) for one in each]
            frame[f"{split}_rows"] = len(rows)
        return frame

    def predictions(self) -> pd.DataFrame:
        """Return what each predicts for the rows, as `Store.predictions` does."""
        from dfo_bench.lm import data

        found = []
        for split, (rows, each) in self.logits_of.items():
            for key, one in zip(self.keys, each, strict=True):
                kept = Predicted.of(data.digest(rows), self._truth(rows), {"": one})
                found.append((key, split, "accuracy", kept.rows, kept.truth, kept.classes[""]))
        return pd.DataFrame(found, columns=PREDICTIONS)

    def _truth(self, rows: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([self.labels.index(row.label) for row in rows])


def take_ensemble(
    store: Store, size: int = SIZE, task: str | None = None, *, run: str | None = None, boosted: bool = False
) -> Ensemble:
    """Return the ensemble of `Store.ensemble`; of fewer prompts than `size` all.

    Raise InputError where there are searches of several questions, models or data, or fewer than two prompts.
    """
    if size < 2:
        raise InputError(f"an ensemble has at least 2 prompts, not {size}; for one, leave it out")
    if run is None:
        runs = _best_runs(store, size, task)
        return Ensemble(runs, [build(one) for one in runs], boosted=boosted)
    chosen, notes = take_run(store, run, task)
    members = build_best(store, chosen, size)
    if len(members) < 2:
        raise InputError(
            f"run {chosen.summary.key} has evaluated one prompt only, and an ensemble needs 2; leave out --run"
        )
    ensemble = Ensemble([chosen] * len(members), members, boosted=boosted)
    ensemble.notes += notes
    return ensemble


def _best_runs(store: Store, size: int, task: str | None) -> list[TextRun]:
    """Return the best searches by dev, then by train loss: of `task`, or of all tasks if their prompts alone differ."""
    found = find_text_runs(store)
    runs = [one for one in found if not one.summary.baseline]
    if found and (task is not None or len({split_prompt(one.task)[0] for one in runs}) != 1):
        runs = searches_of(store, found, task)
    made: dict[str, list[str]] = {}
    if runs:
        data = store.runs().set_index("key")["data"]
        for one in runs:
            made.setdefault(str(data[one.summary.key]), []).append(one.summary.key)
    if len(made) > 1:
        named = "; ".join(f"{digest}: {', '.join(keys)}" for digest, keys in sorted(made.items()))
        raise InputError(
            f"{store.path} has searches on {len(made)} states of the data or the model, which are no ensemble: "
            f"{named}; delete all but those of one"
        )
    if len(runs) < 2:
        raise InputError(
            f"{store.path} has {len(runs)} finished searches of a text task, and an ensemble needs 2; make more, such "
            f"as: dfo-bench sweep -t helpdesk -o cma -s 0-4 --store {store.path}; or, of one run: --run KEY"
        )
    return sorted(runs, key=lambda one: (-one.dev, one.loss(store)))[:size]
