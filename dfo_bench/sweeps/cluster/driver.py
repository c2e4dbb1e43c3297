"""The driver of a cluster: it hands out the runs of a sweep, and writes into its store what the nodes tell of them."""

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from rich.filesize import decimal as size

from dfo_bench.errors import BusyError, StoreError
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.machine import peak_memory
from dfo_bench.store.folder import mark_failed
from dfo_bench.sweeps.cluster.freight import Freight
from dfo_bench.sweeps.cluster.mirror import Mirror
from dfo_bench.sweeps.cluster.node import Message, Piece, Results, Slot
from dfo_bench.sweeps.events import Ended, Event
from dfo_bench.sweeps.execute import finished

MOST_DEATHS = 3
"""A run fails when so many processes died of it in a row, and none had written a batch."""

_PASSED_ON = ("DFO_BENCH_API_KEY", "HF_HUB_OFFLINE", "HF_TOKEN")
"""The variables of the environment that runs need on their nodes, too."""

_logger = logging.getLogger("dfo_bench")

_INTERVAL_S = 5.0
"""How often the driver looks how much room the cluster has."""


@dataclass(frozen=True)
class Needs:
    """What a run takes of a node: one core, and these."""

    gpus: int = 0
    memory: int = 0
    """In bytes."""


@dataclass
class _Work:
    """A run at work."""

    run: PlannedRun
    needs: Needs
    mirror: Mirror
    slot: Any = None


class Cluster:
    """Runs on the nodes of the cluster that Ray is connected to."""

    def __init__(self, workers: int | None, computing: Collection[str], *, alone: bool) -> None:
        """`workers` runs are at work at a time; None: as many as the nodes have room for.

        Runs of the keys `computing` take a GPU where there are any. `alone`: this machine is the only node.
        """
        self._workers, self._computing = workers, computing
        self._gpus = bool(ray.cluster_resources().get("GPU"))
        # This process has built the tasks and evaluated their starts: a run takes no more.
        self._memory = peak_memory()
        self.freight = Freight(None if alone else ray.put)

    def run_all(self, runs: Sequence[PlannedRun], store: Path, hear: Callable[[Event], None]) -> None:
        """Execute every run, and tell `hear` of every advance and end.

        KeyboardInterrupt stops all that is at work and leaves a store that resumes.
        """
        sweep = _Sweep(self, runs, store, hear)
        try:
            sweep.work()
        except ConnectionError as error:
            sweep.interrupt(f"interrupted, the cluster is lost: {' '.join(str(error).split())}")
        finally:
            sweep.stop()

    def needs(self, run: PlannedRun) -> Needs:
        """Return what a run takes of a node."""
        return Needs(int(self._gpus and run.key in self._computing), self._memory)

    def slot(self, needs: Needs) -> Any:
        """Ask for a process on a node that has what a run needs."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return (
            ray.remote(Slot)
            .options(
                num_cpus=1,
                num_gpus=needs.gpus,
                memory=needs.memory,
                max_concurrency=2,
                runtime_env={"env_vars": passed_on},
            )
            .remote()
        )

    def most(self, needs: Needs) -> int:
        """Return how many such runs are to be at work; where no node has room for one, one waits for a node."""
        wanted = {"CPU": 1, "GPU": needs.gpus, "memory": needs.memory}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(min(int(node.get(name, 0) // much) for name, much in wanted.items() if much) for node in nodes)
        if not room:
            _logger.warning(
                "no node of the cluster has the %s and the %s of memory that a run takes; waiting for one (see: ray "
                "status)",
                "core, the GPU" if needs.gpus else "core",
                size(needs.memory),
            )
        return self._workers or max(1, room)


class _Sweep:
    """Some runs, worked off."""

    def __init__(
        self, cluster: Cluster, runs: Sequence[PlannedRun], store: Path, hear: Callable[[Event], None]
    ) -> None:
        self._cluster, self._store, self._hear = cluster, store, hear
        self._waiting = deque(runs)
        self._at_work: dict[str, _Work] = {}
        """By the keys of the runs."""
        self._asked: dict[Any, _Work] = {}
        """By Ray's references of what the slots are going to say."""
        self._deaths: Counter[tuple[str, int]] = Counter()
        """By the key of a run and the batches that it had."""

    def work(self) -> None:
        """Work off all runs; raise ConnectionError where the cluster is lost."""
        looked = 0.0
        most = 0
        while self._waiting or self._at_work:
            if self._waiting and time.monotonic() - looked > _INTERVAL_S:
                looked, most = time.monotonic(), self._cluster.most(self._cluster.needs(self._waiting[0]))
            while self._waiting and len(self._at_work) < most:
                self._begin(None, self._cluster.needs(self._waiting[0]))
            if not self._at_work:
                continue
            references = list(self._asked)
            ray.wait(references, timeout=_INTERVAL_S)
            for reference in ray.wait(references, num_returns=len(references), timeout=0)[0]:
                self._take(self._asked.pop(reference), reference)

    def interrupt(self, words: str) -> None:
        """Say of all runs that are left that they are interrupted."""
        for run in (*(work.run for work in self._at_work.values()), *self._waiting):
            self._hear(Ended(run.key, None, words, interrupted=True))

    def stop(self) -> None:
        """End what is at work: a journal is made to be cut off anywhere."""
        for work in self._at_work.values():
            work.mirror.close()
            if work.slot and ray.is_initialized():
                ray.kill(work.slot)

    def _begin(self, slot: Any, needs: Needs) -> None:
        """Give the next run with these needs to a slot, a new one where there is none; end it where there is no run."""
        while run := next((run for run in self._waiting if self._cluster.needs(run) == needs), None):
            self._waiting.remove(run)
            if mirror := self._open(run):
                work = self._at_work[run.key] = _Work(run, needs, mirror)
                work.slot = slot or self._cluster.slot(needs)
                work.slot.run.remote(run, mirror.files(), self._cluster.freight.of(run.spec))
                self._asked[work.slot.hear.remote()] = work
                return
        if slot:
            ray.kill(slot)

    def _open(self, run: PlannedRun) -> Mirror | None:
        """Return the mirror of a run; tell how it ended where it is not to be run."""
        folder = self._store / run.key
        try:
            # Twice: another process may finish it before this one has the journal.
            if not (summary := finished(folder)):
                mirror = Mirror(folder)
                if not (summary := finished(folder)):
                    return mirror
                mirror.close()
            ended = Ended(run.key, summary)
        except BusyError:
            ended = Ended(run.key, None, "under way in another process", elsewhere=True)
        except StoreError as error:
            ended = Ended(run.key, None, str(error))
        self._hear(ended)
        return None

    def _take(self, work: _Work, reference: Any) -> None:
        """Take what a slot says, and ask for more, or give it the next run."""
        try:
            said: list[Message] = ray.get(reference)
        except ray.exceptions.RayError as error:
            ray.kill(work.slot)
            self._bury(work, error)
            return
        try:
            ended = self._write(work, said)
        except StoreError as error:
            ray.kill(work.slot)
            self._end(work, Ended(work.run.key, None, str(error)))
            return
        if ended:
            self._end(work, ended)
            self._begin(work.slot, work.needs)
        else:
            self._asked[work.slot.hear.remote()] = work

    def _write(self, work: _Work, said: Sequence[Message]) -> Ended | None:
        for message in said:
            match message:
                case Piece():
                    work.mirror.write(message)
                case Results():
                    work.mirror.end(message.files)
                    return message.ended
                case _:
                    self._hear(message)
        return None

    def _end(self, work: _Work, ended: Ended) -> None:
        del self._at_work[work.run.key]
        work.mirror.close()
        self._hear(ended)

    def _bury(self, work: _Work, error: Exception) -> None:
        """Have the run of a slot that died go on elsewhere; fail it where it seems to be the cause."""
        death = work.run.key, work.mirror.batches()
        self._deaths[death] += 1
        if self._deaths[death] < MOST_DEATHS:
            del self._at_work[work.run.key]
            work.mirror.close()
            self._waiting.appendleft(work.run)
            return
        words = f"its process on the cluster died {MOST_DEATHS} times at the same place: {' '.join(str(error).split())}"
        self._end(work, Ended(work.run.key, mark_failed(self._store / work.run.key, words), words))
