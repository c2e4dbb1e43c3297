"""The products of backend=onednn: a model's linear layers by oneDNN, which packs their weights once.

oneDNN chooses its instructions by what a processor can do, and MKL, with which torch multiplies, by who made it: on
AMD's processors with AVX-512 it reaches half of their rate.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from dfo_bench.errors import InputError
from dfo_bench.lm.models import LanguageModel


class Packed:
    """While it is entered, the linear layers of a model are multiplied by oneDNN: the same to fp32 rounding.

    It holds a second copy of their weights, and knows no gradients.
    """

    def __init__(self, model: LanguageModel) -> None:
        """Pack the weights; raise InputError where that cannot be."""
        if not computes(model):
            raise InputError(
                "backend=onednn computes in fp32 on a CPU, by a torch that has oneDNN; take such a machine, or pass "
                "backend=torch to a new run"
            )
        # What a head puts in the place of its weights, it puts there for the call.
        output = model.model.get_output_embeddings()
        layers = [layer for layer in model.model.modules() if layer is not output]
        self._forwards = [(layer, _forward(layer)) for layer in layers if type(layer) in (torch.nn.Linear, Conv1D)]

    def __enter__(self) -> None:
        for layer, forward in self._forwards:
            layer.forward = forward

    def __exit__(self, *raised: object) -> None:
        for layer, _ in self._forwards:
            # The class's own comes to light again.
            del layer.forward


def computes(model: LanguageModel) -> bool:
    """Return whether oneDNN is there to compute a model."""
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    there = available and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return bool(there) and model.device.type == "cpu" and model.words.dtype == torch.float32


def _forward(layer: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    # GPT-2's layers hold their weights the other way round.
    weight = layer.weight.detach().t() if isinstance(layer, Conv1D) else layer.weight.detach()
    packed, bias = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()), layer.bias

    def forward(rows: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
        return result

    return forward
