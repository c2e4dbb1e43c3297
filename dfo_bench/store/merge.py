"""Stores merged: their runs copied into one, each key once."""

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from dfo_bench.errors import InputError, writing
from dfo_bench.store import checksums, packs
from dfo_bench.store.delete import held
from dfo_bench.store.filenames import MARKER
from dfo_bench.store.prices import read_prices, write_prices
from dfo_bench.store.races import read_races, write_races
from dfo_bench.store.store import Store


def merge(
    stores: Iterable[str | Path], into: str | Path, *, keys: Collection[str] | None = None
) -> tuple[list[str], list[str]]:
    """Copy the runs of stores into another, made now if it is new; return the keys copied, and those it had already.

    Of a key that several hold, the run that has come furthest is kept, if the evaluations of the others are its first
    ones. Prices and races of tasks come along; of one that several have, that of the store merged into, or of the
    first, stays. `keys` are the runs to copy, all where None. Raise InputError, before anything is copied, where
    evaluations differ, and BusyError where a run is under way.

    >>> dfo_bench.merge(["results/a", "results/b"], "results/all")
    """
    sources = [Store(path) for path in stores]
    if not sources:
        raise InputError("no store to merge; name one")
    if any(source.path.resolve() == Path(into).resolve() for source in sources):
        raise InputError(f"{into} is what is merged into; leave it out of the stores to merge")
    before = [Store(into)] if (Path(into) / MARKER).exists() else []
    chosen: dict[str, Store] = {key: store for store in before for key in store}
    seen: dict[str, None] = {}
    wanted = {source: [key for key in source if keys is None or key in keys] for source in sources}
    all_held = {**wanted, **{store: list(store) for store in before}}
    with held(store.path / key for store, asked in all_held.items() for key in asked):
        for source in sources:
            for key in wanted[source]:
                seen[key] = None
                chosen[key] = _further(key, chosen[key], source) if key in chosen else source
        copied = [key for key in seen if chosen[key] not in before]
        target = Store.create(into)
        prices = [read_prices(store.path) for store in (target, *sources)]
        races = [read_races(store.path) for store in (target, *sources)]
        for key in copied:
            _copy(key, chosen[key], target)
    if any(prices):
        write_prices(target.path, {task: price for known in reversed(prices) for task, price in known.items()})
    if any(races):
        write_races(target.path, {task: rules for known in reversed(races) for task, rules in known.items()})
    checksums.renew(target, copied)
    return copied, [key for key in seen if chosen[key] in before]


def _further(key: str, one: Store, other: Store) -> Store:
    """Return which of two stores has more of a run; raise InputError where they hold different evaluations."""
    first, second = (store.curves([key])[["evaluation", "loss", "digest"]] for store in (one, other))
    both = min(len(first), len(second))
    if not first[:both].equals(second[:both]):
        raise InputError(
            f"run {key} has other evaluations in {one.path} than in {other.path}; keep one, and delete the other: "
            f"dfo-bench delete {key} --store {other.path}"
        )
    return max((one, other), key=lambda store: (_finished(store, key), len(first if store is one else second)))


def _finished(store: Store, key: str) -> bool:
    summary = store.summary(key)
    return summary is not None and summary.status == "finished"


def _copy(key: str, source: Store, target: Store) -> None:
    """Put a run in place at once, as a folder; what the target has of it has come less far, and is in no pack."""
    folder = target.path / key
    unfinished = folder.with_name(f".{key}.{os.getpid()}.merging")
    with writing(folder):
        try:
            if packed := packs.members(source.path, key):
                unfinished.mkdir()
                for name, data in packed.items():
                    (unfinished / name).write_bytes(data)
            else:
                shutil.copytree(source.path / key, unfinished)
            if folder.exists():
                packs.remove_folder(folder)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
