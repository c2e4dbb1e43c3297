"""Runs, written as other programs read them; the prompts that runs have found are in `dfo_bench.prompts`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dfo_bench.report.exporters.coco import export_coco
from dfo_bench.report.exporters.iohprofiler import export_iohprofiler
from dfo_bench.report.exporters.long_frame import export_csv, export_parquet
from dfo_bench.store import Store

FORMATS: Mapping[str, Callable[[Store, Path], list[str]]] = {
    "iohprofiler": export_iohprofiler,
    "coco": export_coco,
    "csv": export_csv,
    "parquet": export_parquet,
}
"""Each takes a store and where to write, and returns what a user should know about it."""
