"""Text files put in place at once: a reader sees the one before or the one after, and a failure leaves no half."""

import os
from contextlib import suppress
from pathlib import Path


def put(path: Path, text: str) -> None:
    """Write a file anew; raise OSError where that cannot be, with the file before still in its place."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        with suppress(OSError):
            unfinished.unlink()
