"""The files of one run: read from its folder or its pack, put in place atomically when the run ends."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dfo_bench.errors import StoreError
from dfo_bench.runs.curve import curve
from dfo_bench.runs.journal import FORMAT, Log, plain_json, refuse_newer
from dfo_bench.runs.summary import Summary, in_progress
from dfo_bench.store import packs
from dfo_bench.store.atomic import replacing, write_text
from dfo_bench.store.filenames import CURVE, JOURNAL, SUMMARY

_FORMAT_KEY = b"dfo-bench format"

pretty_json = json.JSONEncoder(indent=1, default=plain_json.default)


def mark_failed(folder: Path, error: str) -> Summary | None:
    """End a run whose process died as failed, with what its journal holds; None where it had not begun."""
    path = folder / JOURNAL
    log = Log.read(path) if path.exists() else Log()
    ended = read_summary(folder)
    if ended and ended.attempts >= log.attempts:
        return ended
    if not log.header:
        return None
    summary = in_progress(log.header, log, "failed", error)
    write_results(folder, curve(log.batches, log.unit), summary)
    return summary


def write_results(folder: Path, table: pa.Table, summary: Summary) -> None:
    """Put the curve in place, then the summary: a run has ended when its summary is there."""
    with replacing(folder / CURVE) as unfinished:
        table = table.replace_schema_metadata({_FORMAT_KEY: str(FORMAT)})
        # Random digests and nearly random losses: dictionaries would only add their own size.
        pq.write_table(table, unfinished, compression="zstd", use_dictionary=False)
    write_text(folder / SUMMARY, pretty_json.encode(summary.to_json()) + "\n")


def read_summary(folder: Path) -> Summary | None:
    """Return a run's summary, None where it has not ended."""
    data = read_file(folder, SUMMARY)
    if data is None:
        return None
    try:
        plain = json.loads(data)
        refuse_newer(folder / SUMMARY, int(plain["format"]))
        return Summary.from_json(plain)
    except StoreError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / SUMMARY} is damaged; delete the folder to run it again") from error


def read_curve(folder: Path) -> pa.Table:
    """Return the curve of a run that has ended."""
    data = read_file(folder, CURVE)
    try:
        table = pq.ParquetFile(pa.BufferReader(data or b"")).read(use_threads=False)
        metadata = table.schema.metadata or {}
        # The first curves have none.
        version = int(metadata.get(_FORMAT_KEY, FORMAT))
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise StoreError(f"{folder / CURVE} is missing or damaged; delete the folder to run it again") from error
    refuse_newer(folder / CURVE, version)
    return table.replace_schema_metadata()


def read_file(folder: Path, name: str) -> bytes | None:
    """Return a file of a run that has ended, from its pack or its folder; None where there is none."""
    data = packs.read(folder, name)
    if data is not None:
        return data
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        # It may have been packed between the two looks.
        return packs.read(folder, name)
    except OSError as error:
        raise StoreError(f"{folder / name} cannot be read: {error.strerror}") from error
