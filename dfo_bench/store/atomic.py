"""Files put in place at once: a reader sees the one before or the one after, and a failure leaves no half."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dfo_bench.errors import writing


@contextmanager
def replacing(path: Path, remedy: str = "free space and run again") -> Iterator[Path]:
    """Give a path to write to, and put what was written in the place of `path` at the end.

    Raise StoreError with the remedy where that cannot be, with the file before still in its place.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with writing(path, remedy):
        try:
            yield unfinished
            os.replace(unfinished, path)
        finally:
            with suppress(OSError):
                unfinished.unlink()


def write_text(path: Path, text: str, remedy: str = "free space and run again") -> None:
    """Write a file anew; raise StoreError with the remedy where that cannot be."""
    with replacing(path, remedy) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
