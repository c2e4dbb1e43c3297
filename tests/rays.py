"""Ray as the tests have it: on this machine, without a word to its makers, and in nobody's way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def quiet_ray(cache: Path) -> Iterator[None]:
    """Have the settings of Ray's processes, and a cache of what travels to its nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # Who asks once more after the end, such as a thread of Ray Serve, starts no Ray anew.
        patch.setenv("RAY_ENABLE_AUTO_CONNECT", "0")
        # Ray's own processes give way to all others.
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("DFO_BENCH_CACHE", str(cache))
        yield
