"""Locks of files: one process writes a run, packs a store or saves a cache at a time."""

import fcntl
import os
from pathlib import Path

from dfo_bench.errors import StoreError


def lock(fd: int, path: Path) -> bool:
    """Lock an open file, until it is closed; return False where another process has it.

    The file must be open for writing: NFS refuses anything else. StoreError is raised where the file system of `path`
    has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(
            f"{path} cannot be locked: {error.strerror}. Its file system has no locks, which keep two processes from "
            "writing one run; name a store on a local disk, and copy it when the sweep has ended"
        ) from error
    return True


def refuse_without_locks(folder: Path) -> None:
    """Raise StoreError where files in a folder cannot be locked."""
    probe = folder / f".lock.{os.getpid()}"
    try:
        with probe.open("w", encoding="utf-8") as file:
            lock(file.fileno(), folder)
    finally:
        probe.unlink(missing_ok=True)
