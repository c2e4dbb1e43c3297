"""The verification of a store: stored points are made and evaluated again, and the losses compared.

Two roads lead to a run's points. The summary keeps the recipes of the incumbent and of the selected candidate. And an
optimizer is replayed (`dfo_bench.store.replay`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dfo_bench.core import Points
from dfo_bench.errors import InputError, ReplayError, say
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.loop import changes
from dfo_bench.runs.machine import provenance
from dfo_bench.runs.rebuild import rebuild
from dfo_bench.runs.spec import describe
from dfo_bench.runs.summary import Summary
from dfo_bench.store import frames
from dfo_bench.store.replay import find_points, no_replay
from dfo_bench.store.store import Store
from dfo_bench.threads import single_threaded

_ROUNDING = 1e-9
"""What processors may differ by, of a loss above 1: they round tanh and rotations otherwise, and functions multiply it.

So may what was added up of parts.
"""


@dataclass
class Verdict:
    """What came out for one run."""

    key: str
    run: str
    compared: int = 0
    """How many of its points were evaluated again."""
    difference: float = 0.0
    """The largest between a stored loss and the loss now."""
    tolerance: float = 0.0
    """What the task allows, and what another processor may round otherwise, at the point where that is most."""
    beyond: bool = False
    """Whether a point differs by more than is allowed of its own loss."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every loss is what was stored, and nothing stands against it."""
        return not self.problems and not self.beyond


def verify(
    store: Store, *, points: int = 3, runs: int | None = None, seed: int = 0, keys: Collection[str] | None = None
) -> Iterator[Verdict]:
    """Yield a verdict for each of `runs` runs that have ended (all where None), drawn at random like their points.

    Of each run the incumbent and the selected candidate are evaluated again, and `points` evaluations more, for which
    the optimizer is replayed; failed evaluations are not drawn. `keys` are those to draw from, all where None.
    """
    if points < 0 or (runs is not None and runs < 1):
        raise InputError(f"points must be at least 0 and runs at least 1, got {points} and {runs}")
    frame = store.runs()
    drawn = sorted(key for key in frame.loc[frame["status"] != "unfinished", "key"] if keys is None or key in keys)
    if runs is not None and runs < len(drawn):
        drawn = sorted(np.random.default_rng(seed).choice(drawn, runs, replace=False))
    summaries = [summary for key in drawn if (summary := store.summary(key))]
    specs = sorted(
        ((summary.spec, summary) for summary in summaries),
        key=lambda one: (str(one[0].task), one[0].seed),
    )
    assembly: Assembly | None = None
    for spec, summary in specs:
        # As the store shows it: the name of an imported run need not be a component's.
        verdict = Verdict(summary.key, describe(frames.identity(summary)))
        # As in a run: what threads add up in another order differs in the last bits.
        with single_threaded():
            try:
                # To build a task may mean to load a model.
                same = assembly and (str(assembly.spec.task), assembly.spec.seed) == (str(spec.task), spec.seed)
                assembly = assemble(spec, assembly.task if assembly and same else None)
                _verify(store, assembly, summary, verdict, points, seed)
            except Exception as error:
                verdict.problems.append(f"cannot be evaluated: {say(error)}")
        yield verdict


def _verify(store: Store, assembly: Assembly, summary: Summary, verdict: Verdict, points: int, seed: int) -> None:
    changed = [*changes(assembly, summary), *_other_versions(summary)]
    if changed:
        verdict.notes.append(f"changed since: {', '.join(changed)}")
    curve = store.curves([summary.key])
    losses, digests = curve["loss"].to_numpy(), curve["digest"].tolist()
    if len(losses) != summary.evaluations or min(curve["best"], default=np.inf) != summary.best_loss:
        verdict.problems.append("the curve is not the one that the summary speaks of")
    found: dict[int, Points] = {}
    for kept in filter(None, (summary.selected, summary.incumbent)):
        evaluation, point = kept.evaluation, rebuild(kept.recipe, assembly.task.space, assembly.embed)
        if point.digests() == digests[evaluation - 1 : evaluation]:
            found[evaluation] = point
        else:
            verdict.problems.append(f"evaluation {evaluation} was another point than the one kept of it")
    if points and (reason := no_replay(assembly)):
        verdict.notes.append(f"not replayed: {reason}")
    elif points:
        try:
            found |= _drawn(assembly, curve, points, seed)
        except ReplayError as error:
            (verdict.notes if changed else verdict.problems).append(str(error))
    for evaluation, point in sorted(found.items()):
        stored = losses[evaluation - 1]
        difference = abs(float(assembly.task.evaluate(point)[0]) - stored)
        allowed = assembly.task.tolerance + _ROUNDING * max(1.0, abs(stored))
        verdict.compared += 1
        verdict.beyond |= not difference <= allowed
        verdict.tolerance = max(verdict.tolerance, allowed)
        # nan is as far away as can be.
        verdict.difference = max(verdict.difference, np.inf if np.isnan(difference) else difference)


def _other_versions(summary: Summary) -> list[str]:
    then, now = summary.provenance.versions if summary.provenance else {}, provenance().versions
    return [f"{name} ({then[name]}, now {now[name]})" for name in now if name in then and then[name] != now[name]]


def _drawn(assembly: Assembly, curve: pd.DataFrame, points: int, seed: int) -> dict[int, Points]:
    """Return so many of a run's evaluations, drawn among those that did not fail, with their points."""
    succeeded = 1 + np.flatnonzero(np.isfinite(curve["loss"]))
    rng = np.random.default_rng([seed, int(assembly.key, 16)])
    return find_points(assembly, curve, set(rng.choice(succeeded, min(points, len(succeeded)), replace=False).tolist()))
