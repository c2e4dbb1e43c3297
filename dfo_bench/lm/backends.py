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


def fastest(
    model: LanguageModel,
    head: Head,
    mode: Mode,
    texts: Sequence[Encoded],
    evaluations: int,
    timed: Callable[[str, Callable[[], object]], float] = lambda backend, compute: _cpu_seconds(compute),
) -> str:
    """Return the backend that is the fastest for so many evaluations of all texts, each measured in turn.

    `timed` returns the seconds of one computation: ROWS candidates on the text of middle length.
    """
    choices = offered(model, mode)
    if choices == ["torch"]:
        return "torch"
    middle = sorted(texts, key=lambda text: len(text.ids))[len(texts) // 2]
    prompts = np.zeros((ROWS, *mode.shape), np.float32)
    engines = {"torch": Engine(model, head, mode)}

    def seconds(backend: str) -> float:
        return timed(backend, lambda: engines[backend].logits(prompts, [middle]))

    # The first computation is slower than those that follow.
    once = min(seconds("torch") for _ in range(2)) / (ROWS * (len(middle.ids) + mode.before))
    if once * sum(len(text.ids) + mode.before for text in texts) * evaluations < WORTH_S:
        return "torch"
    engines |= {backend: Engine(model, head, mode, backend) for backend in choices[1:]}
    rounds = [{backend: seconds(backend) for backend in choices} for _ in range(ROUNDS)]
    least = {backend: min(each[backend] for each in rounds) for backend in choices}
    if "openvino" not in choices and graph.computes(model, mode) and _has_avx512():
        _recommend_openvino()
    best = min(choices, key=lambda backend: least[backend])
    return best if least["torch"] >= MARGIN * least[best] else "torch"


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
