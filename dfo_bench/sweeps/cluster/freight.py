"""The freight to the nodes of a cluster: the files that the components of runs name by their paths.

Each goes once a node, by the digest of what it holds, and is kept in the cache of the node's user.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dfo_bench.plugins.component import Component, Value
from dfo_bench.plugins.registry import PROJECTIONS, TASKS, Kind, method_kind
from dfo_bench.runs.spec import RunSpec


@dataclass(frozen=True)
class Parcel:
    """A file or a folder."""

    name: str
    """A whole path where the nodes have it there, too."""
    digest: str
    """Of what it holds."""
    files: Mapping[str, Any]
    """Ray's references of the bytes of its files, by their paths from the folder in which it lies."""


class Freight:
    """Packs the files of runs, each once."""

    def __init__(self, put: Callable[[bytes], Any] | None) -> None:
        """`put` hands bytes to the cluster, and returns a reference of them; None: the nodes have all the files."""
        self._put = put
        self._parcels: dict[str, Parcel] = {}

    def of(self, spec: RunSpec) -> dict[str, Parcel]:
        """Return the parcels of a run, by the paths as its spec writes them."""
        paths = _paths(spec)
        for written, path in paths.items():
            if written not in self._parcels:
                self._parcels[written] = self.pack(path)
        return {written: self._parcels[written] for written in paths}

    def pack(self, path: Path) -> Parcel:
        """Return the parcel of a file or a folder."""
        if self._put is None:
            return Parcel(str(path), "", {})
        if path.suffix == ".py":
            # What a plugin may import of its folder.
            found = sorted({path, *path.parent.glob("_*.py")})
        else:
            found = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        total = hashlib.sha256()
        files = {}
        for one in found:
            data, name = one.read_bytes(), str(one.relative_to(path.parent))
            total.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
            files[name] = self._put(data)
        return Parcel(path.name, total.hexdigest(), files)


def unpack(spec: RunSpec, freight: Mapping[str, Parcel]) -> RunSpec:
    """Return a spec whose paths lead to what the parcels hold, on this node."""
    places = {written: str(fetch(parcel)) for written, parcel in freight.items()}
    return located(spec, lambda written: places.get(written, written))


def located(spec: RunSpec, place: Callable[[str], str]) -> RunSpec:
    """Return a spec with all that may be a path in it as `place` has it."""
    return replace(
        spec,
        task=_moved(TASKS, spec.task, place),
        optimizer=_moved(None, spec.optimizer, place),
        projection=_moved(PROJECTIONS, spec.projection, place),
    )


def _moved(kind: Kind[Any] | None, one: Component, place: Callable[[str], str]) -> Component:
    name = place(one.name) if one.is_file else one.name
    kind = kind or method_kind(name)
    known = kind.parameters(kind.load(name))
    moved: dict[str, Value] = {}
    for parameter, value in one.params.items():
        if isinstance(value, Component):
            moved[parameter] = _moved(None, value, place)
        elif isinstance(value, str) and parameter in known and known[parameter].may_be_path(value):
            moved[parameter] = place(value)
    return Component(name, {**one.params, **moved})


def _paths(spec: RunSpec) -> dict[str, Path]:
    """Return the paths that a spec writes, of files and folders that are there."""
    found: dict[str, Path] = {}

    def note(written: str) -> str:
        if (path := Path(written).expanduser().absolute()).exists():
            found[written] = path
        return written

    located(spec, note)
    return found


def fetch(parcel: Parcel) -> Path:
    """Return where a parcel lies on this node, to which it comes when it is first asked for."""
    if not parcel.files:
        return Path(parcel.name)
    import ray

    cache = Path(os.environ.get("DFO_BENCH_CACHE") or "~/.cache/dfo-bench").expanduser() / "cluster"
    folder = cache / parcel.digest
    cache.mkdir(parents=True, exist_ok=True)
    # Others of this node wait, and find it.
    with (cache / f"{parcel.digest}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            half = cache / f"{parcel.digest}.half"
            shutil.rmtree(half, ignore_errors=True)
            for name, data in parcel.files.items():
                (half / name).parent.mkdir(parents=True, exist_ok=True)
                (half / name).write_bytes(ray.get(data))
            half.rename(folder)
    return folder / parcel.name
