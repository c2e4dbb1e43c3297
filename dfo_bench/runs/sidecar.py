"""The binary file beside a journal: what evaluations told an optimizer beside their losses, four bytes a number.

A batch stands in it before the journal has its line. What lies beyond the journal's last batch was told to nobody.
"""

import os
import zlib
from pathlib import Path

import numpy as np

from dfo_bench.errors import StoreError, writing
from dfo_bench.runs.growing import Copy, append, open_growing
from dfo_bench.runs.oracle import Told

_NUMBER = np.dtype("<f4")


def checksum(told: Told) -> int:
    """Return the CRC-32 of what a batch told, as it stands in the file."""
    return zlib.crc32(told.astype(_NUMBER).tobytes())


class Sidecar:
    """Numbers of float32, `width` of them per evaluation; open while the journal is, whose lock is its lock, too."""

    def __init__(self, path: Path, width: int, evaluations: int, copy: Copy | None = None) -> None:
        """Open or create, cut to what the journal knows; raise StoreError where that is not there.

        `copy` is told of all that is written.
        """
        self.path, self._width, self._copy = path, width, copy
        with writing(path):
            self._fd = open_growing(path)
        try:
            size = evaluations * self._row
            if (found := os.fstat(self._fd).st_size) < size:
                raise StoreError(
                    f"{path} holds {found // self._row} of the {evaluations} evaluations of its journal; copy it "
                    "again, or delete the run's folder to start anew"
                )
            self.cut(evaluations)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def _row(self) -> int:
        return self._width * _NUMBER.itemsize

    def cut(self, evaluations: int) -> None:
        """Forget what evaluations beyond these told."""
        with writing(self.path):
            os.ftruncate(self._fd, evaluations * self._row)

    def append(self, begin: int, told: Told) -> None:
        """Write what a batch told, shape (n, width), after the `begin` evaluations before it."""
        data = told.astype(_NUMBER).tobytes()
        with writing(self.path):
            append(self._fd, data)
        if self._copy:
            self._copy(self.path.name, begin * self._row, data)

    def read(self, begin: int, count: int) -> Told:
        """Return what `count` evaluations from `begin` on told, shape (count, width)."""
        data = os.pread(self._fd, count * self._row, begin * self._row)
        return np.frombuffer(data, _NUMBER).astype(np.float32).reshape(count, self._width)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
