"""Long frames: one row per evaluation, the run's names repeated in each, as one CSV or Parquet file.

The columns are those of SCHEMA: what names a run in `store.runs()`, then those of `store.curves()`; a run is a `key`.
Rows of a run stand together, in order of evaluation; the loss of one that failed is empty. Of an imported run there
may be only the evaluations that its own program logged.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from dfo_bench.errors import writing
from dfo_bench.exchange.suite import ELSEWHERE, choose_runs
from dfo_bench.runs.columns import GROUP
from dfo_bench.store.store import Store

SCHEMA = pa.schema(
    [
        *((name, pa.int64() if name in ("dim", "budget", "dev_every") else pa.string()) for name in ("key", *GROUP)),
        ("seed", pa.int64()),
        ("status", pa.string()),
        ("evaluation", pa.int64()),
        ("loss", pa.float64()),
        ("best", pa.float64()),
        ("digest", pa.string()),
        ("task_seconds", pa.float64()),
        ("optimizer_seconds", pa.float64()),
    ]
)


def export_csv(store: Store, out: Path) -> list[str]:
    """Write a CSV file, floats in the fewest digits that read back as the same number."""
    tables, notes = _read_tables(store)
    with writing(out, ELSEWHERE):
        out.parent.mkdir(parents=True, exist_ok=True)
        with csv.CSVWriter(out, SCHEMA) as writer:
            for table in tables:
                writer.write_table(table)
    return notes


def export_parquet(store: Store, out: Path) -> list[str]:
    """Write a Parquet file, one row group per run."""
    tables, notes = _read_tables(store)
    with writing(out, ELSEWHERE):
        out.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
    return notes


def _read_tables(store: Store) -> tuple[Iterator[pa.Table], list[str]]:
    """Return one table per run, each read when it is asked for, and notes, as `choose_runs` does."""
    runs, notes = choose_runs(store)

    def tables() -> Iterator[pa.Table]:
        for run in runs.to_dict("records"):
            curve = store.curves([run["key"]])
            columns = {name: curve[name] if name in curve else [run[name]] * len(curve) for name in SCHEMA.names}
            # Null rather than nan, which the statistics of Parquet pass over: DuckDB would find none where isnan(loss).
            arrays = [pa.array(np.asarray(columns[field.name]), field.type, from_pandas=True) for field in SCHEMA]
            yield pa.Table.from_arrays(arrays, schema=SCHEMA)

    return tables(), notes
