"""Shared by all tests: no test reaches a network, and the folder beside the project is found or skipped."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dfo_bench.store.store import Store
    from tests.tiny_lm import Zoo

# Before any library that reads them is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
# The tests run side by side, one process a core.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("DFO_BENCH_DATA", None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of data and models that stands beside the project where it is developed."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared, the data and models beside the project")
    return folder


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> "Zoo":
    """Return the tiny language models, each built when a test first asks for it."""
    from tests.tiny_lm import Zoo

    return Zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def store(tmp_path: Path) -> "Store":
    """Return a new store."""
    from dfo_bench.store.store import Store

    return Store.create(tmp_path / "store")


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a service: what does not answer at once is unavailable."""
    from tenacity import wait_none

    from dfo_bench.lm import TextTask
    from dfo_bench.lm.remote import client as clients

    monkeypatch.setattr(clients, "_PAUSES", wait_none())
    monkeypatch.setattr(clients, "QUICK_S", 0.0)
    monkeypatch.setattr(TextTask, "patience_s", 0.0)


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Declare the task `toy` and the optimizer `odd`; return the folder their modules stand in."""
    from tests import toys

    folder = tmp_path / "toys"
    folder.mkdir()
    toys.declare(folder, monkeypatch)
    return folder


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Take back the handler that a command of the test has set: it writes to the terminal of that command."""
    logger = logging.getLogger("dfo_bench")
    before = logger.handlers
    yield
    logger.handlers = before
