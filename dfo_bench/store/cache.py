"""Cache of what was parsed of the files of runs that ended.

A cache is derived: its folder may be deleted at any time, and what it says of a run counts only while the run's file is
the one it was made of. It is written atomically, by one process at a time, and where it cannot
be written everything works, slower.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfo_bench.errors import StoreError
from dfo_bench.runs.lock import lock
from dfo_bench.store.atomic import replacing

_STAMPS = b"dfo-bench stamps"


class Cache:
    """One table over all runs, its first column `key`."""

    def __init__(self, path: Path, schema: pa.Schema, version: str) -> None:
        """`path` is its Parquet file; what code of another `version` made is made again."""
        self.path, self.schema, self.version = path, schema, version

    def read(self, stamps: Mapping[str, str], derive: Callable[[str], pa.Table | None]) -> pa.Table:
        """Return the rows of the runs that have a stamp, sorted by key, those of one run in the order `derive` gives.

        A stamp changes when a run's file does. `derive` makes the rows of a run that is new or has changed; None
        leaves it out.
        """
        kept, known = self._load()
        fresh = {key for key, stamp in stamps.items() if known.get(key) == stamp}
        if len(fresh) < len(known):
            kept = kept.filter(pc.is_in(kept["key"], pa.array(sorted(fresh), pa.string())))
        new = {key: table for key in stamps if key not in fresh and (table := derive(key)) is not None}
        if new:
            kept = pa.concat_tables([kept, *new.values()])
            kept = kept.take(pc.sort_indices(kept["key"]))  # which is stable
        if new or len(fresh) < len(known):
            self._save(kept, {key: stamps[key] for key in (*fresh, *new)})
        return kept

    def _load(self) -> tuple[pa.Table, dict[str, str]]:
        """Return the table and the stamps of its runs, nothing where there is no table of this code to read."""
        with suppress(OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            table = pq.read_table(self.path, page_checksum_verification=True)
            about = json.loads(table.schema.metadata[_STAMPS])
            if about["version"] == self.version:
                return table.replace_schema_metadata().cast(self.schema), about["stamps"]
        return self.schema.empty_table(), {}

    def _save(self, table: pa.Table, stamps: Mapping[str, str]) -> None:
        """Put the table in place, unless another process is about to, or the store cannot be written."""
        about = json.dumps({"version": self.version, "stamps": stamps})
        with suppress(OSError, StoreError):
            self.path.parent.mkdir(exist_ok=True)
            with (self.path.parent / "lock").open("ab") as file:
                if not lock(file.fileno(), self.path):
                    return
                with replacing(self.path) as unfinished:
                    pq.write_table(
                        table.replace_schema_metadata({_STAMPS: about}),
                        unfinished,
                        compression="zstd",
                        use_dictionary=["key"],
                        write_page_checksum=True,
                    )
