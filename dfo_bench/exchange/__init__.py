"""Files of other programs: the formats that `export` writes and `import` reads."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dfo_bench.exchange.coco_reader import import_coco
from dfo_bench.exchange.coco_writer import export_coco
from dfo_bench.exchange.iohprofiler_reader import import_iohprofiler
from dfo_bench.exchange.iohprofiler_writer import export_iohprofiler
from dfo_bench.exchange.long_frame import export_csv, export_parquet
from dfo_bench.exchange.peft import export_peft
from dfo_bench.exchange.prompts import export_prompts
from dfo_bench.store.store import Store

EXPORTS: Mapping[str, Callable[[Store, Path], list[str]]] = {
    "iohprofiler": export_iohprofiler,
    "coco": export_coco,
    "csv": export_csv,
    "parquet": export_parquet,
    "prompts": export_prompts,
    "peft": export_peft,
}
"""Each takes a store and where to write, and returns what a user should know about it."""

IMPORTS: Mapping[str, Callable[[Path, Path], list[str]]] = {"iohprofiler": import_iohprofiler, "coco": import_coco}
"""Each takes what to read and the folder of the store, and returns what a user should know about it."""
