"""Executors of the runs of a sweep: processes of this machine, or the nodes of a cluster."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dfo_bench.runs.header import PlannedRun
from dfo_bench.sweeps.events import Event
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.workers import run_all

RunAll = Callable[[Sequence[PlannedRun], Path, Callable[[Event], None]], None]
"""run_all(runs, store, hear): executes every run into the store, and tells `hear` of every advance and end.

KeyboardInterrupt stops all that is at work, and leaves a store that resumes.
"""


@contextmanager
def executor(request: SweepRequest, computing: Collection[str]) -> Iterator[RunAll]:
    """Open the executor of a sweep; raise InputError where its cluster cannot be had.

    `computing` are the keys of the runs that compute a model where they run.
    """
    if request.cluster is None:
        yield partial(run_all, workers=request.workers or 1)
        return
    from dfo_bench.sweeps.cluster.connect import connected

    with connected(request.cluster) as alone:
        from dfo_bench.sweeps.cluster.driver import Cluster

        yield Cluster(request.workers, computing, alone=alone).run_all
