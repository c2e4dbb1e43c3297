"""Silence for the optimizers that use optuna: its log and warnings are held back."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back optuna's log and its warnings about experimental arguments and infinite values."""
    # Not the logger's level, as optuna.logging.set_verbosity: changing that makes Python look up all levels anew.
    levels = {handler: handler.level for handler in logging.getLogger("optuna").handlers}
    for handler in levels:
        handler.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)
