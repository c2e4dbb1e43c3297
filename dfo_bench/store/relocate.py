"""Stores whose data or model have moved: the paths that their runs name are written anew, and their keys stay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfo_bench.errors import InputError, Unavailable, UnknownNameError
from dfo_bench.plugins.component import Component, parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Summary
from dfo_bench.store import checksums, packs
from dfo_bench.store.atomic import write_text
from dfo_bench.store.delete import held
from dfo_bench.store.filenames import SUMMARY
from dfo_bench.store.folder import pretty_json
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import on_torch

_KINDS = ("task", "optimizer", "projection")


def relocate(store: Store, moved: Mapping[str, str]) -> list[str]:
    """Do what `Store.relocate` says."""
    for old, new in moved.items():
        if not old or not new or not Path(new).expanduser().exists():
            raise InputError(f"{old}={new}: {new!r} does not exist; write OLD=NEW with the path where it is now")
    moved = {old.rstrip("/"): new.rstrip("/") for old, new in moved.items()}
    summaries = {key: summary for key in store if (summary := store.summary(key))}
    changed = {key: then for key, summary in summaries.items() if (then := _moved(summary, moved)) != summary}
    named = {text for summary in summaries.values() for text in _texts(summary)}
    paths = [text for text in named if "/" in text or Path(text).suffix]
    for old in moved:
        if not any(_at(text, old) is not None for text in named):
            raise UnknownNameError(f"path in the runs of {store.path} that ended", old, paths or named)
    _check(changed)
    data = {key: pretty_json.encode(summary.to_json()) + "\n" for key, summary in changed.items()}
    with held(store.path / key for key in changed):
        packs.edit(store.path, {key: {SUMMARY: text.encode()} for key, text in data.items()})
        for key, text in data.items():
            if (store.path / key / SUMMARY).exists():
                write_text(store.path / key / SUMMARY, text)
    checksums.renew(store, changed)
    return list(changed)


def _check(changed: Mapping[str, Summary]) -> None:
    """Build a run of each task and projection; raise InputError where it read other contents."""
    seen: set[tuple[str, str]] = set()
    for key, summary in changed.items():
        spec = on_torch(summary.spec)
        if (about := (str(spec.task), str(spec.projection))) in seen:
            continue
        seen.add(about)
        try:
            now = assemble(spec).key
        except (InputError, Unavailable) as error:
            raise InputError(f"run {key} cannot be built with what has moved: {error}; nothing is changed") from error
        if now != key:
            raise InputError(f"run {key} was made of other contents than {about[0]} names now; nothing is changed")


def _moved(summary: Summary, moved: Mapping[str, str]) -> Summary:
    def change(text: str) -> str:
        for old, new in moved.items():
            if (rest := _at(text, old)) is not None:
                return new + rest
        return text

    new = {kind: _mapped(getattr(summary.spec, kind), change) for kind in _KINDS}
    spec: RunSpec = replace(summary.spec, **new)
    if spec == summary.spec:
        return summary
    shown = dict(summary.shown)
    for kind in _KINDS:
        if getattr(spec, kind) != getattr(summary.spec, kind):
            shown[kind] = str(_mapped(parse(shown[kind]), change))
    return replace(summary, spec=spec, shown=shown)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a parameter's value with its texts changed, at any depth."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Component):
        return Component(change(value.name), {name: _mapped(one, change) for name, one in value.params.items()})
    if isinstance(value, Sequence):
        return [_mapped(one, change) for one in value]
    if isinstance(value, Mapping):
        return {name: _mapped(one, change) for name, one in value.items()}
    return value


def _at(text: str, old: str) -> str | None:
    """Return what follows `old` in a path that is it or lies below it; None for another."""
    if text == old:
        return ""
    return text.removeprefix(old) if text.startswith(f"{old}/") else None


def _texts(summary: Summary) -> Iterator[str]:
    """Yield the texts among the parameters of a run, and the names of its plugins."""
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    for kind in _KINDS:
        _mapped(getattr(summary.spec, kind), keep)
    yield from found
