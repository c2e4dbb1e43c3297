"""The backends, what computes a model: which of them can, and which is the fastest here."""

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch

from dfo_bench.lm import graph, packed
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import Head
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Encoded

Backend = Literal["auto", "torch", "onednn", "openvino"]
"""`auto` is settled by a sweep (`fastest`); where there is none, it is torch."""

WORTH_S = 60.0
"""What takes torch less is left to it: to measure others, and to make their graphs, would take as long."""

MARGIN = 1.05
"""How many times faster another backend than torch has to be: timings differ by some percent."""

ROWS, ROUNDS = 4, 3

_logger = logging.getLogger("dfo_bench")


def offered(model: LanguageModel, mode: Mode) -> list[str]:
    """Return the backends that can compute a model here, torch first."""
    found = ["torch"]
    if packed.computes(model):
        found.append("onednn")
    if graph.computes(model, mode) and importlib.util.find_spec("openvino"):
        found.append("openvino")
    return found


def call_seconds(
    engine: Engine, mode: Mode, texts: Sequence[Encoded], timed: Callable[[Callable[[], object]], float] | None = None
) -> float:
    """Return the seconds that one candidate on all texts takes, from two computations of ROWS candidates.

    `timed` returns the seconds of one. On a CPU it is the text of middle length, as all tokens take alike; on a GPU it
    is all texts, which share a batch there.
    """
    timed = timed or (_wall_seconds if engine.tokens else _cpu_seconds)
    some = texts if engine.tokens else [_middle(texts)]
    prompts = np.zeros((ROWS, *mode.shape), np.float32)
    engine.keep(some)
    # The first computation is slower than those that follow.
    least = min(timed(lambda: engine.logits(prompts, some)) for _ in range(2))
    return least * _share(engine, texts, some)


def fastest(
    model: LanguageModel,
    head: Head,
    mode: Mode,
    texts: Sequence[Encoded],
    evaluations: int,
    timed: Callable[[str, Callable[[], object]], float] = lambda backend, compute: _cpu_seconds(compute),
) -> tuple[str, float]:
    """Return the backend that is the fastest for so many evaluations of all texts, and the seconds of one by it.

    Each is measured in turn, unless torch alone is offered, or takes less than WORTH_S.

    `timed` returns the seconds of one computation: ROWS candidates on the text of middle length.
    """
    choices = offered(model, mode)
    engines = {"torch": Engine(model, head, mode)}
    if choices == ["torch"]:
        return "torch", call_seconds(engines["torch"], mode, texts)
    middle = _middle(texts)
    prompts = np.zeros((ROWS, *mode.shape), np.float32)

    def seconds(backend: str) -> float:
        return timed(backend, lambda: engines[backend].logits(prompts, [middle]))

    once = call_seconds(engines["torch"], mode, texts, lambda compute: timed("torch", compute))
    if once * evaluations < WORTH_S:
        return "torch", once
    for backend in choices[1:]:
        engines[backend] = Engine(model, head, mode, backend)
        engines[backend].keep([middle])
    rounds = [{backend: seconds(backend) for backend in choices} for _ in range(ROUNDS)]
    least = {backend: min(each[backend] for each in rounds) for backend in choices}
    if "openvino" not in choices and graph.computes(model, mode) and _has_avx512():
        _recommend_openvino()
    best = min(choices, key=lambda backend: least[backend])
    best = best if least["torch"] >= MARGIN * least[best] else "torch"
    return best, least[best] * _share(engines[best], texts, [middle])


class Speeds:
    """How fast `texts` are computed here by each backend, measured when it is first asked for."""

    def __init__(self, model: LanguageModel, head: Head, mode: Mode, texts: Sequence[Encoded]) -> None:
        self._model, self._head, self._mode, self.texts = model, head, mode, texts
        self._seconds: dict[str, float] = {}

    def fastest(self, evaluations: int) -> str:
        """Return the backend to use for so many evaluations."""
        backend, seconds = fastest(self._model, self._head, self._mode, self.texts, evaluations)
        self._seconds[backend] = seconds
        return backend

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of one evaluation by a backend."""
        if backend not in self._seconds:
            engine = Engine(self._model, self._head, self._mode, backend)
            self._seconds[backend] = call_seconds(engine, self._mode, self.texts)
        return self._seconds[backend]


def _middle(texts: Sequence[Encoded]) -> Encoded:
    """Return the text of middle length."""
    return sorted(texts, key=lambda text: len(text.ids))[len(texts) // 2]


def _share(engine: Engine, texts: Sequence[Encoded], some: Sequence[Encoded]) -> float:
    """Return how much of ROWS candidates on some texts one candidate on all texts is."""
    return engine.rows_of(texts) / (ROWS * engine.rows_of(some))


def _wall_seconds(compute: Callable[[], object]) -> float:
    before = time.perf_counter()
    compute()
    return time.perf_counter() - before


def _cpu_seconds(compute: Callable[[], object]) -> float:
    """Return what a computation takes: of the processor, as others may be at work beside it."""
    before = time.process_time()
    compute()
    return time.process_time() - before


def _has_avx512() -> bool:
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


@cache
def _recommend_openvino() -> None:
    """Say what OpenVINO would bring, once a process."""
    _logger.warning(
        "OpenVINO is not installed, and has taken half of torch's time for encoders on a processor with AVX-512: "
        "pip install 'dfo-bench[openvino]'"
    )
