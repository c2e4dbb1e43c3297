"""The Hugging Face hub, where it can be reached or was once: copies of models and datasets."""

from functools import lru_cache
from pathlib import Path

from huggingface_hub import snapshot_download


@lru_cache
def download(name: str, kind: str, files: tuple[str, ...] = ("*",)) -> Path:
    """Return the folder of the hub's "model" or "dataset", cached by the hub's client; else raise ConnectionError."""
    try:
        return Path(snapshot_download(name, repo_type=kind, allow_patterns=list(files)))
    except (OSError, ValueError) as error:
        raise ConnectionError(type(error).__name__) from error
