"""Runs of other programs, put into a store so that their curves stand in the report."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dfo_bench.importers.iohprofiler import import_iohprofiler

FORMATS: Mapping[str, Callable[[Path, Path], list[str]]] = {"iohprofiler": import_iohprofiler}
"""Each takes the folder to read and that of the store, and returns what a user should know about it."""
