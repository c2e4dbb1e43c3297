"""Finished runs packed into few files: a pack is a zip file of run folders, and unzipping it brings them back.

Packs stand in the folder `packed` of a store, each named by the digest of what it holds, so that stores with packs are
merged by copying, too. What a pack holds is final: it is read before a folder of the same run. A pack is whole and in
its place before the first of its folders goes away, so a kill at any moment leaves every run in one of the two.
"""

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from dfo_bench.errors import BusyError, StoreError, writing
from dfo_bench.runs.lock import lock
from dfo_bench.store.filenames import JOURNAL, MARKER, PACKS, SUMMARY, TOLD

RUNS_A_PACK = 1_000
"""So many runs at most: what a compaction needs of free space, and what it has to do again after a kill."""

_UNFINISHED = "unfinished.tmp"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every entry: the same runs make the same pack."""


def read(folder: Path, name: str) -> bytes | None:
    """Return a file of the run whose folder it was; None where no pack holds it."""
    for pack in _packs(folder.parent):
        try:
            return pack.read(f"{folder.name}/{name}")
        except KeyError:
            continue
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(pack.filename) from error
    return None


def stamps(store: Path, name: str) -> dict[str, str]:
    """Return, by key, what changes when the file `name` of a packed run does."""
    found: dict[str, str] = {}
    for pack in _packs(store):
        for info in pack.infolist():
            key, _, rest = info.filename.partition("/")
            if rest == name:
                found.setdefault(key, f"crc {info.CRC:08x} {info.file_size}")
    return found


def names(store: Path) -> set[str]:
    """Return the files of all packed runs, each as KEY/NAME."""
    return {name for pack in _packs(store) for name in pack.namelist()}


def members(store: Path, key: str) -> dict[str, bytes]:
    """Return the files of a packed run by name; none where no pack holds it."""
    for pack in _packs(store):
        if own := [name for name in pack.namelist() if name.partition("/")[0] == key]:
            return {name.partition("/")[2]: pack.read(name) for name in own}
    return {}


def compact(store: Path, folders: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Pack the folders of finished runs and remove them; raise BusyError where another process does.

    Return the packs made, and the folders left because a pack holds another version of the run, of a merged store.
    """
    made: list[Path] = []
    try:
        with _alone(store):
            _clean(store)
            packed = stamps(store, SUMMARY)
            new: list[Path] = []
            known: list[Path] = []
            for folder in sorted(folders):
                (known if folder.name in packed else new).append(folder)
            (store / PACKS).mkdir(exist_ok=True)
            for begin in range(0, len(new), RUNS_A_PACK):
                made.append(_write(store, new[begin : begin + RUNS_A_PACK]))
                known += new[begin : begin + RUNS_A_PACK]
            return made, [folder for folder in known if not _removed(folder)]
    except OSError as error:
        raise StoreError(f"{store} cannot be compacted: {error.strerror}; free space and run again") from error


def edit(store: Path, changed: Mapping[str, Mapping[str, bytes] | None]) -> None:
    """Give packed runs, by key, other files in place of their own of these names, or with None take them out.

    Raise BusyError where another process packs. Every pack changes at once; a kill leaves packs that have not.
    """
    with writing(store / PACKS), _alone(store):
        _clean(store)
        for pack in _packs(store):
            if changed.keys().isdisjoint(name.partition("/")[0] for name in pack.namelist()):
                continue
            before = Path(str(pack.filename))
            members = list(_edited(pack, changed))
            if not members or _put(store, members) != before:
                before.unlink()


def _edited(pack: zipfile.ZipFile, changed: Mapping[str, Mapping[str, bytes] | None]) -> Iterator[tuple[str, bytes]]:
    for member in pack.namelist():
        key, _, name = member.partition("/")
        if (own := changed.get(key, {})) is not None:
            yield member, own[name] if name in own else pack.read(member)


def _write(store: Path, folders: Sequence[Path]) -> Path:
    """Pack folders, which stay as they are."""
    return _put(
        store, ((f"{file.parent.name}/{file.name}", file.read_bytes()) for folder in folders for file in files(folder))
    )


def _put(store: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """Make a pack of files, each KEY/NAME and what it holds."""
    unfinished = store / PACKS / _UNFINISHED
    try:
        with zipfile.ZipFile(unfinished, "w") as pack:
            for name, data in members:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
                pack.writestr(info, data)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
            digest = hashlib.file_digest(written, "sha256").hexdigest()[:16]
        path = unfinished.with_name(f"{digest}.zip")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _removed(folder: Path) -> bool:
    """Remove a folder if a pack holds all of it, to the byte."""
    if any(read(folder, file.name) != file.read_bytes() for file in files(folder)):
        return False
    remove_folder(folder)
    return True


def remove_folder(folder: Path) -> None:
    """Remove a folder at once for everybody who looks."""
    away = folder.with_name(f".{folder.name}.removed")
    folder.rename(away)
    shutil.rmtree(away)


def files(folder: Path) -> list[Path]:
    """Return what is packed of a finished run: its journal, where a kill has left it, says no more."""
    return sorted(file for file in folder.iterdir() if file.name not in (JOURNAL, TOLD) and file.suffix != ".tmp")


def _clean(store: Path) -> None:
    """Remove what was left where a process that packs or deletes was killed."""
    for left in store.glob(".*.removed"):
        shutil.rmtree(left)
    (store / PACKS / _UNFINISHED).unlink(missing_ok=True)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Be the only process that packs runs of this store; raise BusyError where another does."""
    with (store / MARKER).open("rb+") as marker:
        if not lock(marker.fileno(), store):
            raise BusyError(f"{store} is being compacted by another process")
        yield


def _packs(store: Path) -> Sequence[zipfile.ZipFile]:
    """Return the packs that are there now, by name."""
    try:
        with os.scandir(store / PACKS) as entries:
            found = sorted((entry.path, entry.stat()) for entry in entries if entry.name.endswith(".zip"))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return [_opened(path, stat.st_mtime_ns, stat.st_size, os.getpid()) for path, stat in found]


@lru_cache(maxsize=256)
def _opened(path: str, mtime_ns: int, size: int, pid: int) -> zipfile.ZipFile:
    """Open a pack once a process: its directory may be long, and a forked process shares the place in the file."""
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise _damaged(path) from error


def _damaged(path: str | None) -> StoreError:
    return StoreError(f"{path} is damaged; copy it again, or delete it to run what it held again")
