"""Files that only grow: what is written stands at the end, and whole."""

import os
from collections.abc import Callable
from pathlib import Path

Copy = Callable[[str, int, bytes], None]
"""Called with a file's name, a place in it in bytes, and what was written there; what was beyond it is gone."""


def open_growing(path: Path) -> int:
    """Open or create such a file; return its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def append(fd: int, data: bytes) -> None:
    """Write all of the data, in as many pieces as the system takes it."""
    while (written := os.write(fd, data)) < len(data):
        data = data[written:]
