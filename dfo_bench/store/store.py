"""A folder of runs, read as data frames; merged by copying one store's run folders into another."""

import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfo_bench.errors import InputError, StoreError, UnknownNameError, writing
from dfo_bench.runs import columns
from dfo_bench.runs.curve import curve
from dfo_bench.runs.header import Header
from dfo_bench.runs.journal import FORMAT, Log, refuse_newer
from dfo_bench.runs.summary import Summary, in_progress
from dfo_bench.store import frames, packs
from dfo_bench.store.cache import Cache
from dfo_bench.store.filenames import CACHES, CURVE, JOURNAL, MARKER, SUMMARY
from dfo_bench.store.folder import read_curve, read_summary
from dfo_bench.store.plan import read_plan
from dfo_bench.store.prices import add_money
from dfo_bench.store.races import add_races

if TYPE_CHECKING:
    from dfo_bench.store.classifier import TextClassifier
    from dfo_bench.store.ensemble import Ensemble
    from dfo_bench.store.view import RunView

_logger = logging.getLogger("dfo_bench")
_Read = TypeVar("_Read")

_KEY = re.compile(r"[0-9a-f]{16}")


class Store:
    """The runs of a folder.

    >>> store = Store("results/demo")
    >>> store.runs()[["optimizer", "best_loss"]]
    """

    def __init__(self, path: str | Path) -> None:
        """Open a store; raise StoreError where the folder is none."""
        self.path = Path(path)
        self._named: set[str] = set()
        try:
            text = (self.path / MARKER).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            what = "is not a dfo-bench store" if self.path.exists() else "does not exist"
            raise StoreError(f"{self.path} {what}; make one with: dfo-bench sweep --store {self.path} ...") from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}; name another folder") from error
        version = FORMAT
        # Where a kill has cut it, the folder is new.
        with suppress(ValueError, KeyError, TypeError):
            version = int(json.loads(text)["format"])
        refuse_newer(self.path, version)

    @classmethod
    def create(cls, path: str | Path) -> "Store":
        """Open a store, made now if the folder is new, empty or full of stores; raise StoreError where it cannot be."""
        path = Path(path)
        cls.refuse_foreign_folder(path)
        with writing(path, "name another folder"):
            if not (path / MARKER).exists():
                path.mkdir(parents=True, exist_ok=True)
                (path / MARKER).write_text(json.dumps({"format": FORMAT}) + "\n", encoding="utf-8")
            probe = path / f".{MARKER}.{os.getpid()}"
            probe.touch()
            probe.unlink(missing_ok=True)
        return cls(path)

    @staticmethod
    def refuse_foreign_folder(path: Path) -> None:
        """Raise StoreError where a folder holds anything but runs, or stores of its own."""
        try:
            if (path / MARKER).exists() or not path.exists():
                return
            if not path.is_dir() or not all((child / MARKER).exists() for child in path.iterdir()):
                raise StoreError(f"{path} exists and is not a dfo-bench store; name a new or an empty folder")
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}; name another folder") from error

    def __repr__(self) -> str:
        """Show the folder."""
        return f"Store({str(self.path)!r})"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of all runs, sorted."""
        with os.scandir(self.path) as entries:
            loose = {entry.name for entry in entries if _KEY.fullmatch(entry.name) and entry.is_dir()}
        yield from sorted(loose | packs.stamps(self.path, SUMMARY).keys())

    def summary(self, key: str) -> Summary | None:
        """Return the summary of a run that finished or failed, else None."""
        return read_summary(self.path / key)

    def runs(self) -> pd.DataFrame:
        """Return one row per run; of an unfinished one what its journal says so far.

        Here and in the other frames of the whole store a run whose files are damaged, or of a newer dfo-bench, is left
        out, and a warning of one line names it.
        """
        ended, logs = self._runs()
        found = [json.loads(row) for row in ended["row"].to_pylist()]
        found += [frames.row(in_progress(header, log)) for header, log in logs.values()]
        if not found:
            return pd.DataFrame(columns=["key", *columns.RUN, "status", "error", "best_loss", "evaluations"])
        frame: pd.DataFrame = pd.DataFrame(found).sort_values(columns.RUN, ignore_index=True)
        return add_races(add_money(frame, self.path), self.path)

    def planned(self) -> pd.DataFrame:
        """Return one row per run that the sweep started last has yet to begin: its key, and what names it."""
        left = []
        if plan := read_plan(self.path):
            # Not every folder of a run: one may be left of a process that died before its first line.
            ended, logs = self._runs()
            begun = {*ended["key"].to_pylist(), *logs}
            left = [frames.identity(run) for run in plan if run.key not in begun]
        return pd.DataFrame(left, columns=["key", *columns.RUN]).sort_values(columns.RUN, ignore_index=True)

    def under_way(self) -> bool:
        """Say whether a sweep has yet to end, be it at work or stopped."""
        return bool(read_plan(self.path)) or bool((self.runs()["status"] == "unfinished").any())

    def curves(self, keys: Iterable[str] | None = None, improvements: bool = False) -> pd.DataFrame:
        """Return one row per evaluation (or improvement): key, evaluation, loss, best, digest and seconds.

        Of all runs, or of those of `keys`; StoreError is raised where one of these cannot be read.
        """
        chosen = frames.improvements if improvements else frames.evaluations
        if keys is not None:
            found = [chosen(key, table) for key in keys if (table := self._curve(key)) is not None]
            return _frame(found, frames.CURVES)
        ended, logs = self._runs()
        derive = self._spared(lambda key: chosen(key, read_curve(self.path / key)))
        if improvements:
            stamps = self._stamps(CURVE, ended["key"].to_pylist())
            found = [self._cache("improvements", frames.CURVES).read(stamps, derive)]
        else:
            found = [table for key in ended["key"].to_pylist() if (table := derive(key)) is not None]
        return _frame(
            [*found, *(chosen(key, curve(log.batches, log.unit)) for key, (_, log) in logs.items())], frames.CURVES
        )

    def measures(self) -> pd.DataFrame:
        """Return one row per score on dev or test: key, evaluation, split, metric, value."""
        ended, logs = self._runs()
        stamps = self._stamps(SUMMARY, ended["key"].to_pylist())
        table = self._cache("measures", frames.MEASURES).read(stamps, self._spared(self._of_summary(frames.measures)))
        running = [frames.measures(key, in_progress(header, log)) for key, (header, log) in logs.items()]
        return _frame([table, *running], frames.MEASURES)

    def predictions(self) -> pd.DataFrame:
        """Return what each run that ended predicts, one row per split and metric.

        The columns are key, split, metric, rows (the digest of the rows), and truth and predicted: the class indices,
        packed, see `dfo_bench.predicted.unpack`; of F1 1 is its class, and 0 any other. Of dev it is what the candidate
        that dev selects predicts. Runs that were made before predictions (of F1: its class) were kept have no row.
        """
        stamps = self._stamps(SUMMARY, self._runs()[0]["key"].to_pylist())
        cache = self._cache("predictions", frames.PREDICTIONS)
        return _frame([cache.read(stamps, self._spared(self._of_summary(frames.predictions)))], frames.PREDICTIONS)

    def made_with(self) -> list[frames.Made]:
        """Return what every run that ended was made with."""
        return [frames.Made.from_json(json.loads(made)) for made in self._runs()[0]["made"].to_pylist()]

    def classifier(self, run: str = "best", task: str | None = None) -> "TextClassifier":
        """Return what a finished run of a text task has found as a classifier.

        `run` is a key, also of a reference, or "best": the search with the best score on dev, then the lowest train
        loss, of `task`, which may be left out where the store has searches of one task only. Model and data must still
        be there. Raise InputError for what cannot be taken.

        >>> store.classifier().predict(["the parcel never came"])
        """
        from dfo_bench.store.classifier import take_classifier

        return take_classifier(self, run, task)

    def ensemble(
        self, size: int = 5, task: str | None = None, *, run: str | None = None, boosted: bool = False
    ) -> "Ensemble":
        """Return `size` prompts, fewer where there are no more, as one classifier.

        They are those that the best searches by dev have selected: of `task`, or of all tasks where these differ in
        their prompt (template and mode, too) alone. With `run`, a key or "best" as in `classifier`, they are those of
        one search that differ: the selected one, then those of the lowest train losses, for which its optimizer is
        replayed. Their log-probabilities are averaged; a text costs a call for each. `boosted`: they vote by weights
        that are fitted on the texts that they were trained on, which costs a call for each of these and each prompt;
        then a text costs a call for each that has a weight. Raise InputError where tasks, models or data are others,
        where there are fewer than two prompts, and for a run whose optimizer saw more than losses.

        >>> store.ensemble(3).scores()
        """
        from dfo_bench.store.ensemble import take_ensemble

        return take_ensemble(self, size, task, run=run, boosted=boosted)

    def find(self, run: str) -> str:
        """Return the key of a run, of which `run` is the beginning of no other; raise InputError where it is not."""
        keys = list(self)
        found = [run] if run in keys else [key for key in keys if run and key.startswith(run)]
        if len(found) > 1:
            more = ", ..." if len(found) > 5 else ""
            raise InputError(
                f"{len(found)} runs in {self.path} begin with {run!r}; give more: {', '.join(found[:5])}{more}"
            )
        if not found:
            raise UnknownNameError(f"run in {self.path}", run, keys)
        return found[0]

    def view(self, run: str = "best") -> "RunView":
        """Return what there is to know of a run: its row, its curve, and the words that its prompt is near to.

        `run` is a key, a beginning of one that is no other's, or "best". Raise InputError where it names no run, or
        "best" one of several tasks.
        """
        from dfo_bench.store.view import view

        return view(self, run)

    def delete(self, *runs: str) -> list[str]:
        """Delete runs, each by its key or a beginning of it that is no other's; return the keys.

        Packed runs leave their packs, and the digests of a published store those of the others. Raise InputError for a
        run that is not there, and BusyError for one under way in another process, before anything is deleted.

        >>> store.delete("05ea9b9a", "1f30")
        """
        from dfo_bench.store.delete import delete

        return delete(self, runs)

    def relocate(self, moved: Mapping[str, str]) -> list[str]:
        """Write anew the paths of data, models and plugins that have moved, from old to new; return the runs changed.

        An old path is one that runs name, or a folder above it, as they write it. Keys stay: they rest on contents, and
        a run of each task is built to see that these are the same. Raise InputError, with nothing changed, where they
        are not, or a path is not there. Runs that have not ended stay as they are.

        >>> store.relocate({"/old/models": "/data/models"})
        """
        from dfo_bench.store.relocate import relocate

        return relocate(self, moved)

    def compact(self) -> tuple[list[Path], list[Path]]:
        """Pack the folders of the finished runs into few files, from which they are read like before.

        Return the packs made, and the folders left because a pack holds another version of the run.
        """
        ended, _ = self._runs()
        finished = ended.filter(pc.equal(ended["status"], "finished"))["key"].to_pylist()
        return packs.compact(self.path, [folder for key in finished if (folder := self.path / key).is_dir()])

    def _runs(self) -> tuple[pa.Table, dict[str, tuple[Header, Log]]]:
        """Return the facts of the runs that ended, and the journals of those under way."""
        keys = list(self)
        stamps = self._stamps(SUMMARY, keys)
        ended = self._cache("runs", frames.FACTS).read(stamps, self._spared(self._of_summary(frames.facts)))
        known = zip(*(ended[name].to_pylist() for name in ("key", "status", "attempts")), strict=True)
        attempts = {key: attempts if status == "failed" else math.inf for key, status, attempts in known}
        # What has a summary that cannot be read has been named, and is not under way.
        attempts |= dict.fromkeys(stamps.keys() - attempts.keys(), math.inf)
        waiting = [key for key in keys if attempts.get(key, 0) < math.inf]
        read = self._spared(self._log)
        # A failed run that is being tried again is under way.
        logs = {key: found for key in waiting if (found := read(key)) and found[1].attempts > attempts.get(key, 0)}
        return ended.filter(pc.invert(pc.is_in(ended["key"], pa.array(list(logs), pa.string())))), logs

    def _curve(self, key: str) -> pa.Table | None:
        summary, begun = self.summary(key), self._log(key)
        if begun and (not summary or (summary.status == "failed" and begun[1].attempts > summary.attempts)):
            return curve(begun[1].batches, begun[1].unit)
        return read_curve(self.path / key) if summary else None

    def _log(self, key: str) -> tuple[Header, Log] | None:
        path = self.path / key / JOURNAL
        log = Log.read(path) if path.exists() else Log()
        return (log.header, log) if log.header else None

    def _cache(self, name: str, schema: pa.Schema) -> Cache:
        return Cache(self.path / CACHES / f"{name}.parquet", schema, frames.VERSION)

    def _stamps(self, name: str, keys: Iterable[str]) -> dict[str, str]:
        """Return, for the runs whose file of that name is there, what changes when it does."""
        packed = packs.stamps(self.path, name)
        found: dict[str, str] = {}
        for key in keys:
            if key in packed:
                found[key] = packed[key]
                continue
            with suppress(FileNotFoundError):
                stat = os.stat(f"{self.path}/{key}/{name}")
                found[key] = f"{stat.st_mtime_ns} {stat.st_size}"
        return found

    def _of_summary(self, derive: Callable[[str, Summary], pa.Table]) -> Callable[[str], pa.Table | None]:
        return lambda key: derive(key, summary) if (summary := self.summary(key)) else None

    def _spared(self, read: Callable[[str], _Read | None]) -> Callable[[str], _Read | None]:
        """Return a `read` that names a run that it cannot read, once, instead of raising StoreError."""

        def spared(key: str) -> _Read | None:
            try:
                return read(key)
            except StoreError as error:
                if key not in self._named:
                    self._named.add(key)
                    _logger.warning("run %s is left out: %s", key, error)
                return None

        return spared


def _frame(tables: Sequence[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables([schema.empty_table(), *tables]).to_pandas()
    return frame
