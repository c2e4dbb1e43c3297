"""Runs deleted from a store, wherever they are: their folders, their packs, and their lines among the digests."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dfo_bench.errors import writing
from dfo_bench.runs.journal import open_locked
from dfo_bench.store import checksums, packs
from dfo_bench.store.filenames import JOURNAL, SUMMARY
from dfo_bench.store.store import Store


def delete(store: Store, runs: Sequence[str]) -> list[str]:
    """Do what `Store.delete` says."""
    keys = list(dict.fromkeys(map(store.find, runs)))
    with held(store.path / key for key in keys), writing(store.path):
        packed = packs.stamps(store.path, SUMMARY).keys() & set(keys)
        if packed:
            packs.edit(store.path, dict.fromkeys(packed))
        for folder in (store.path / key for key in keys):
            if folder.exists():
                packs.remove_folder(folder)
    checksums.renew(store, keys)
    return keys


@contextmanager
def held(folders: Iterable[Path]) -> Iterator[None]:
    """Be the only process that writes these runs; raise BusyError where another does.

    A run without a journal has ended, and nobody writes it.
    """
    with ExitStack() as stack:
        for folder in folders:
            if (folder / JOURNAL).exists():
                stack.callback(os.close, open_locked(folder / JOURNAL))
        yield
