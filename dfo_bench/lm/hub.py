"""The Hugging Face hub: copies of models and datasets, fetched or from the cache of an earlier fetch."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download


@lru_cache
def download(name: str, files: tuple[str, ...]) -> Path:
    """Return the folder of a model's files that match, cached by the hub's client; raise ConnectionError without it."""
    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except Exception as error:
        # Its errors have no base in common: the client's own, those of what it connects with, the file system's.
        raise _unreachable(error) from error


def dataset(name: str, config: str | None, split: str) -> Iterable[Mapping[str, Any]]:
    """Return the records of a dataset's split, cached by `datasets`; raise ConnectionError without them."""
    import datasets

    datasets.disable_progress_bars()
    try:
        records: Iterable[Mapping[str, Any]] = datasets.load_dataset(name, config, split=split)
    except Exception as error:
        raise _unreachable(error) from error
    return records


def _unreachable(error: Exception) -> ConnectionError:
    sentence = re.split(r"\n|\. ", str(error))[0].rstrip(".")
    return ConnectionError(f"{type(error).__name__}: {sentence}")
