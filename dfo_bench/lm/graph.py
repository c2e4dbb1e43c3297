"""The graph for backend=openvino: a model, its hooks and its head compiled, the same numbers to fp32 rounding."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from dfo_bench.errors import InputError
from dfo_bench.lm.heads import Head
from dfo_bench.lm.models import LanguageModel, quiet
from dfo_bench.lm.modes import Mode

MODES = ("add", "cat", "inputs_embeds", "words")
"""The modes in which a prompt is part of the rows, all that the graph is given."""


class _Traced(torch.nn.Module):
    """The module that is traced: from rows and the place to read, to logits."""

    def __init__(self, model: LanguageModel, head: Head, mode: Mode) -> None:
        super().__init__()
        self.model, self._head, self._mode = model.model, head, mode

    def forward(self, rows: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        with self._mode.entering(rows, None) as embeds:
            return self._head.logits({"inputs_embeds": embeds}, at)


def computes(model: LanguageModel, mode: Mode) -> bool:
    """Return whether there is a graph of a model, OpenVINO installed."""
    plain = model.device.type == "cpu" and model.words.dtype == torch.float32
    return plain and "masked" in model.family.heads and mode.name in MODES


def graph(model: LanguageModel, head: Head, mode: Mode) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a function from rows, shape (n, length, size), and the places to read, shape (n,), to logits (n, classes).

    It computes in fp32 on one thread. Raise InputError where OpenVINO is missing, or not offered for the model.
    """
    request = compile_graph(model, head, mode).create_infer_request()

    def run(rows: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        # A copy: the request writes its next result into the same place.
        return torch.from_numpy(request.infer([rows.numpy(), at.numpy()])[0].copy())

    return run


def compile_graph(model: LanguageModel, head: Head, mode: Mode) -> Any:
    """Return OpenVINO's compiled model; raise InputError as `graph` does."""
    if not computes(model, mode):
        raise InputError(
            "backend=openvino is offered in fp32 on a CPU, for head=embedding and head=masked of encoders, with "
            f"mode={', '.join(MODES)}; pass backend=auto to a new run"
        )
    try:
        from openvino import Core
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    except ImportError as error:
        raise InputError(
            "backend=openvino needs OpenVINO; pip install 'dfo-bench[openvino]', or pass backend=torch to a new run"
        ) from error
    size = model.words.size(1)
    example = torch.zeros(2, 16, size), torch.tensor([3, 4])
    with torch.inference_mode(), quiet(), warnings.catch_warnings():
        # The tracer warns of every shape that it takes for a constant, as it should here: batches are never padded.
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(_Traced(model, head, mode), example_input=example)
        # Not openvino.convert_model, which does the same and reports the use of it to its makers.
        frontend = FrontEndManager().load_by_framework("pytorch")
        traced = frontend.convert(frontend.load(decoder))
    traced.reshape({0: [-1, -1, size], 1: [-1]})
    # Without pinning: every process would bind itself to the first core, and all workers of a sweep share it.
    settings = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
    return Core().compile_model(traced, "CPU", settings)
