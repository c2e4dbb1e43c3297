"""The points of a run that has ended, of which a store keeps two: found by replaying its optimizer.

A fresh optimizer of the run's seed, told the stored losses, asks for all of them again, which costs its own time and no
evaluation; not one that sees more than losses, of which nothing else is kept.
"""

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from dfo_bench.core import Points
from dfo_bench.errors import ReplayError
from dfo_bench.runs.assembly import Assembly


def no_replay(assembly: Assembly) -> str:
    """Say what is not kept that the optimizer would have to be told again; "" where it can be replayed."""
    if assembly.sees != "losses":
        return f"what it sees, {assembly.sees}, is not kept of a run that has ended"
    if assembly.unit > 1:
        return "losses on some examples only are not kept of a run that has ended"
    return ""


def find_points(assembly: Assembly, curve: pd.DataFrame, evaluations: Collection[int]) -> dict[int, Points]:
    """Return the points of some evaluations of a run; `curve` is its own, and ReplayError as in `_replay`."""
    found: dict[int, Points] = {}
    for begin, batch in _replay(assembly, curve):
        found |= {begin + i + 1: batch[i : i + 1] for i in range(len(batch)) if begin + i + 1 in evaluations}
        if len(found) == len(evaluations):
            break
    return found


def find_best(assembly: Assembly, curve: pd.DataFrame, selected: int, size: int) -> dict[int, Points]:
    """Return the points of `size` evaluations of a run, at most, that differ: of `selected`, then of the lowest losses.

    Points that are the same prompt in words do not differ. Raise ReplayError as `_replay` does.
    """
    losses = curve["loss"].to_numpy()
    kept: dict[str, tuple[bool, float, int, Points]] = {}
    for begin, batch in _replay(assembly, curve):
        for i, name in enumerate(assembly.task.identify(batch) or batch.digests()):
            evaluation, loss = begin + i + 1, losses[begin + i]
            one = evaluation != selected, loss, evaluation, batch[i : i + 1]
            if np.isfinite(loss) and (name not in kept or one[:3] < kept[name][:3]):
                kept[name] = one
        kept = dict(sorted(kept.items(), key=lambda named: named[1][:3])[:size])
    return {evaluation: point for _, _, evaluation, point in kept.values()}


def _replay(assembly: Assembly, curve: pd.DataFrame) -> Iterator[tuple[int, Points]]:
    """Yield the batches of a run, each with how many evaluations came before; raise ReplayError where they differ."""
    losses, digests = curve["loss"].to_numpy(), curve["digest"].tolist()
    optimizer = assembly.optimizer()
    told = np.where(losses > -np.inf, losses, np.inf)
    spent = 0
    while spent < len(losses):
        asked = optimizer.ask()
        # The last batch was cut at the budget, and not told.
        batch = asked[: len(losses) - spent]
        end = spent + len(batch)
        if batch.digests() != digests[spent:end]:
            name = assembly.spec.optimizer.name
            raise ReplayError(f"asked again, {name} differs after evaluation {spent}, as it may on another processor")
        yield spent, batch
        if len(batch) == len(asked):
            optimizer.tell(told[spent:end].copy())
        spent = end
