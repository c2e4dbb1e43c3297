"""The folder of a run in the store of the driver, its only writer, while the run is made on a node."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from dfo_bench.errors import writing
from dfo_bench.runs.growing import append, open_growing
from dfo_bench.runs.journal import Log, open_locked
from dfo_bench.store.atomic import replacing
from dfo_bench.store.filenames import JOURNAL, SUMMARY, TOLD
from dfo_bench.store.folder import read_file
from dfo_bench.sweeps.cluster.node import Piece
from dfo_bench.sweeps.execute import finished, set_aside


class Mirror:
    """A run's files, its journal locked, which take what the node writes to its own."""

    def __init__(self, folder: Path) -> None:
        """Open or create; raise BusyError where another process writes the run, StoreError where it cannot be read."""
        with writing(folder):
            folder.mkdir(exist_ok=True)
        self._folder = folder
        self._journal = open_locked(folder / JOURNAL)
        self._told: int | None = None
        try:
            # Half a line that a kill has left.
            os.ftruncate(self._journal, Log.read(folder / JOURNAL).size)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the mirror."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Give the run free for another writer."""
        self.close()

    def files(self) -> dict[str, bytes]:
        """Return what a node needs to go on with the run: its journals, what was told, and how it failed."""
        paths = (*self._folder.glob("journal*.jsonl"), *self._folder.glob(TOLD))
        found = {path.name: path.read_bytes() for path in paths}
        summary = read_file(self._folder, SUMMARY)
        return found | ({SUMMARY: summary} if summary else {})

    def write(self, piece: Piece) -> None:
        """Take what the node wrote; raise StoreError where it cannot be written.

        A journal that is begun anew is another: the former could not be gone on with.
        """
        path = self._folder / piece.name
        with writing(path):
            if piece.name == TOLD:
                if self._told is None:
                    self._told = open_growing(path)
                fd = self._told
            else:
                if not piece.begin and os.fstat(self._journal).st_size:
                    self._begin_anew()
                fd = self._journal
            os.ftruncate(fd, piece.begin)
            append(fd, piece.data)

    def _begin_anew(self) -> None:
        set_aside(self._folder)
        self.close()
        self._told = None
        self._journal = open_locked(self._folder / JOURNAL)

    def batches(self) -> int:
        """Return how many batches the journal holds."""
        return len(Log.read(self._folder / JOURNAL).batches)

    def end(self, files: Mapping[str, bytes]) -> None:
        """Put the files of a run that has ended in place; raise StoreError where they cannot be written."""
        for name, data in files.items():
            with replacing(self._folder / name) as unfinished:
                unfinished.write_bytes(data)
        # Removes the journal of one that has finished, too.
        finished(self._folder)

    def close(self) -> None:
        """Give the run free for another writer."""
        if self._told is not None:
            os.close(self._told)
        os.close(self._journal)
