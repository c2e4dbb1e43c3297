"""A task that is unavailable: asked again after pauses that double, until its patience is over."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from dfo_bench.errors import Unavailable

FIRST_S, LONGEST_S = 1.0, 60.0
"""The first pause and the longest, before jitter."""

_logger = logging.getLogger("dfo_bench")
_Answer = TypeVar("_Answer")


class Patience:
    """Asks again while a task raises Unavailable; `events` says how often that was, and how it ended."""

    def __init__(
        self,
        seconds: float,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`seconds` is how long an outage may last; `draw` returns the jitter, from 0 to 1.

        Every pause is between a half and the whole of its length, so that runs side by side do not ask at once.
        """
        self._seconds, self._sleep, self._clock, self._draw = seconds, sleep, clock, draw
        self.events: list[str] = []
        self.waiting = False
        """Whether the last call was not answered, so that nothing is in flight."""
        self.asked = (0.0, 0.0)
        """When the last call began, by the clocks of wall and CPU time: what it waited before is nobody's time."""

    def ask(self, call: Callable[[], _Answer]) -> _Answer:
        """Return what `call` answers; raise the Unavailable of its last time when patience is over."""
        begun, pause, times = self._clock(), FIRST_S, 0
        while True:
            self.waiting = False
            self.asked = (time.perf_counter(), time.process_time())
            try:
                answer = call()
            except Unavailable as error:
                self.waiting = True
                left = begun + self._seconds - self._clock()
                if left <= 0:
                    raise
                if not times:
                    self.events.append(f"unavailable for a time: {error}")
                    _logger.warning("%s; asked again for up to %.0f s", error, self._seconds)
                self._sleep(min(left, pause * (1 + self._draw()) / 2))
                pause, times = min(LONGEST_S, 2 * pause), times + 1
            else:
                return answer
