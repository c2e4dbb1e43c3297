"""The checksums of a published store: the digests of its files, written as sha256sum does.

The files are those of runs that have ended, wherever they are: in their folders, where `sha256sum -c SHA256SUMS` checks
them, too, or packed. What is derived, the caches and the report, has none.
"""

import hashlib
from collections.abc import Collection, Iterator

from dfo_bench.store import packs
from dfo_bench.store.atomic import write_text
from dfo_bench.store.filenames import CHECKSUMS, MARKER, SUMMARY
from dfo_bench.store.folder import read_file
from dfo_bench.store.store import Store


def write(store: Store) -> None:
    """Write the digests of all files there are."""
    write_text(store.path / CHECKSUMS, "".join(f"{_digest(store, name)}  {name}\n" for name in _names(store)))


def compare(store: Store) -> tuple[list[str], list[str]] | None:
    """Return the files that are not what was published, each with what is wrong, and those that were not listed.

    None where the store carries no digests.
    """
    listed = _listed(store)
    if listed is None:
        return None
    wrong: list[str] = []
    for name, digest in listed.items():
        now = _digest(store, name)
        if now != digest:
            wrong.append(f"{name} {'has changed' if now else 'is missing'}")
    return wrong, [name for name in _names(store) if name not in listed]


def renew(store: Store, keys: Collection[str]) -> int:
    """Bring the lines of runs that were changed or deleted on purpose up to what is there; return how many differ."""
    listed = _listed(store) or {}
    own = {name: _digest(store, name) for name in listed if name.partition("/")[0] in keys}
    if changed := sum(digest != listed[name] for name, digest in own.items()):
        now = {**listed, **own}
        write_text(store.path / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in now.items() if digest))
    return changed


def _listed(store: Store) -> dict[str, str] | None:
    """Return the digest of each file as it was published, None where the store carries none."""
    try:
        lines = (store.path / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _names(store: Store) -> Iterator[str]:
    packed = packs.names(store.path)
    ended = [key for key in store if (store.path / key / SUMMARY).exists()]
    loose = {f"{key}/{file.name}" for key in ended for file in packs.files(store.path / key)}
    yield from (MARKER, *sorted(packed | loose))


def _digest(store: Store, name: str) -> str:
    """Return the digest of a file, "" where it is not there."""
    key, _, rest = name.rpartition("/")
    data = read_file(store.path / key, rest)
    return "" if data is None else hashlib.sha256(data).hexdigest()
