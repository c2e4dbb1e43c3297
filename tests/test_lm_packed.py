"""oneDNN's products against those of torch, in the engine, which has its own plain reference."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dfo_bench.core import InputError
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead, WordsHead
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.packed import Packed
from tests.test_lm_engine import CASES, LABEL_TEXTS, LABELS, TOKENS, candidates, texts
from tests.tiny_lm import Zoo


class Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which operations ran."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


# Modes change rows, not the layers that multiply them.
@pytest.mark.parametrize(("name", "head", "mode"), [case for case in CASES if case[2] == "inputs_embeds"])
def test_packed_products_give_the_logits_of_torch(zoo: Zoo, name: str, head: str, mode: ModeName) -> None:
    loaded = zoo.load(name, head)
    way = Mode(loaded, mode, TOKENS)
    reader = EmbeddingHead(loaded, LABEL_TEXTS, way.before) if head == "embedding" else WordsHead(loaded, LABELS)
    x, some = candidates(loaded, mode, 7), texts(name, head, mode, shared=4)
    eager, packed = Engine(loaded, reader, way), Engine(loaded, reader, way, "onednn")
    # Random weights this large amplify rounding.
    np.testing.assert_allclose(packed.logits(x, some), eager.logits(x, some), rtol=0, atol=2e-5)
    assert np.array_equal(packed.logits(x, some), packed.logits(x, some))


@pytest.mark.parametrize(("name", "head"), [("bert", "masked"), ("gpt2", "causal")])
def test_the_layers_of_a_model_are_its_own_again_after_a_call(zoo: Zoo, name: str, head: str) -> None:
    loaded = zoo.load(name, head)
    layer = loaded.blocks[0].get_submodule("attention.self.query" if name == "bert" else "attn.c_attn")
    rows = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    plain = layer(rows)
    with Packed(loaded), Seen() as seen:
        torch.testing.assert_close(layer(rows), plain)
        with pytest.raises(RuntimeError):
            layer(rows[:, :7])
    assert "mkldnn._linear_pointwise.default" in seen.names
    assert not any("forward" in vars(module) for module in loaded.model.modules())
    with Seen() as seen:
        layer(rows)
    assert not any("mkldnn" in name for name in seen.names)


def test_packed_products_of_another_precision_are_refused(zoo: Zoo) -> None:
    with pytest.raises(InputError, match=r"fp32 on a CPU.*pass backend=torch"):
        Packed(zoo.load("bert", "masked", "bfloat16"))
