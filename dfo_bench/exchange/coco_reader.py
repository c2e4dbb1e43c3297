"""Runs that COCO logged on suites of one objective: a folder, or archives of such folders as COCO gives them out.

A task is a function of a suite, an optimizer an algorithm's `algId`, a seed an instance minus one. COCO logs
improvements of f - f_opt alone: the losses are these, and the optimum is 0; f_opt stands in the run's summary.
"""

import errno
import os
import re
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np

from dfo_bench.errors import InputError
from dfo_bench.exchange.blocks import Block, changes, distinct, read_blocks
from dfo_bench.exchange.info_files import Listed, read_info
from dfo_bench.exchange.logs import Log, Root, collect, import_logs, printable

_ARCHIVES = (".tgz", ".tar.gz")
_WANTED = (".info", ".dat", ".tdat")

_BEST = "best noise-free fitness"
"""The column of the best f - f_opt so far; that of a suite with constraints adds how far these are violated."""

_OPTIMUM = re.compile(r"Fopt \(([-+.\de]+)\)")


def import_coco(folder: Path, store: Path) -> list[str]:
    """Write every whole run below `folder`, or in an archive, into a store; raise InputError where there is none."""
    logs: list[Log] = []
    faults: list[str] = []
    read = 0
    with _roots(folder, faults) as roots:
        for root in roots:
            indices = sorted(
                path for path in root.path.rglob("*.info") if not path.name.startswith((".", "IOHprofiler_"))
            )
            found, wrong = collect(root, indices, _read)
            logs += found
            faults += wrong
            read += len(indices)
        if not read and not faults:
            raise InputError(
                f"{folder} has no *.info of COCO, nor an archive (.tgz, .tar.gz) of them; name the folder that COCO's "
                "observer wrote, or an archive of COCO"
            )
        return import_logs(logs, faults, folder, store)


@contextmanager
def _roots(folder: Path, faults: list[str]) -> Iterator[list[Root]]:
    """Give the folder, and one of every archive in it; what is unpacked is deleted in the end."""
    archives = [folder] if folder.is_file() else sorted(filter(_is_packed, folder.rglob("*")))
    roots = [Root(folder)] if folder.is_dir() else []
    with TemporaryDirectory(prefix="dfo-bench-") as temporary:
        for number, archive in enumerate(archives):
            name = archive.name if archive == folder else str(archive.relative_to(folder))
            root = Root(Path(temporary, str(number)), f"{name}/")
            try:
                _unpack(archive, root.path)
                roots.append(root)
            except (tarfile.TarError, zlib.error, EOFError, OSError, InputError) as error:
                faults.append(f"{name} cannot be unpacked: {error}")
        yield roots


def _is_packed(path: Path) -> bool:
    # cocopp unpacks an archive beside it, and leaves both.
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    return path.name.endswith(_ARCHIVES) and not (path.parent / f"_extracted_{stem}").exists()


def _unpack(archive: Path, to: Path) -> None:
    """Write the index files and the files of rows of an archive; raise InputError where a name leads elsewhere."""
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            place = PurePosixPath(member.name)
            if place.is_absolute() or ".." in place.parts:
                raise InputError(f"it holds {member.name!r}, which leads out of it")
            if place.suffix in _WANTED and (source := members.extractfile(member) if member.isfile() else None):
                path = to / place
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)


def _read(root: Root, index: Path) -> Iterator[Log]:
    """Yield the logs that an index lists."""
    for part in read_info(index):
        suite = _suite(part)
        if "indicator" in part.header or "biobj" in suite:
            raise InputError(f"it is of {suite}, a suite of several objectives, and only one can be compared here")
        for written, entries in part.files.items():
            path = root.locate(index, written)
            yield Log(
                path=path,
                name=root.name(path),
                function=printable(f"{suite} f{part.function}"),
                algorithm=printable(part.header.get("algId") or index.parent.name),
                dim=part.dim,
                maximised=False,
                entries=entries,
                blocks=partial(_blocks, path),
                source={
                    "suite": suite,
                    "algorithm_info": part.comment,
                    "version": part.header.get("coco_version", ""),
                },
                optimum=0.0,
            )


def _suite(part: Listed) -> str:
    """Return the name of the suite; the first files do not say it, and number the noisy functions from 101."""
    if "indicator" in part.header:
        return part.header.get("suite", "bbob-biobj")
    noisy = part.function.isdecimal() and int(part.function) > 100
    return part.header.get("suite") or ("bbob-noisy" if noisy else "bbob")


def _blocks(path: Path) -> Iterator[Block]:
    """Yield (n, 4) a run: evaluation, best difference so far, nan, nan; from both files, at targets and at times."""
    paths = [other for suffix in (".dat", ".tdat") if (other := path.with_suffix(suffix)).is_file()]
    if not paths:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    for both in zip_longest(*(read_blocks(other, _begins, _columns) for other in paths)):
        blocks = [block for block in both if block]
        yield next((block for block in blocks if block.fault), None) or _merge(blocks)


def _merge(blocks: list[Block]) -> Block:
    """Return one run of what its files hold of it."""
    rows = np.concatenate([block.rows for block in blocks])
    header = blocks[0].header
    optimum = _OPTIMUM.search(header)
    return Block(
        header,
        changes(distinct(rows[np.argsort(rows[:, 0], kind="stable")])),
        end=max(block.end for block in blocks),
        cut=any(block.cut for block in blocks),
        source={"f_opt": float(optimum[1]) if optimum else None},
    )


def _begins(line: str) -> bool:
    return line.startswith("%") and "evaluation" in line


def _columns(header: str) -> tuple[list[int], range]:
    names = [name.strip() for name in header.lstrip("%").split("|")]
    best = [at for at, name in enumerate(names) if name.startswith(_BEST)]
    if not best:
        raise InputError(f"it has no column {_BEST!r}")
    # The variables of a point need not be logged.
    fixed = sum(not re.match(r"x\d", name) for name in names)
    return [0, best[0], -1, -1], range(fixed, sys.maxsize)
