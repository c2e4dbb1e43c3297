"""The graph against the engine itself, which has its own plain reference."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfo_bench.core import InputError
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.graph import compile_graph
from dfo_bench.lm.heads import EmbeddingHead, WordsHead
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.sentence import Sentence
from tests.test_lm_engine import LABEL_TEXTS, LABELS, TOKENS, candidates, texts
from tests.tiny_lm import TINY, Zoo

ENCODERS = [name for name, tiny in TINY.items() if "masked" in FAMILIES[tiny.model_type].heads]
# Every way of one encoder with positions of its own and of one with relative ones; of every other its whole graph.
CASES = [(name, "masked", "inputs_embeds") for name in ENCODERS]
CASES += [
    (name, head, mode) for name in ("bert", "deberta") for head, mode in (("masked", "add"), ("embedding", "cat"))
]


@pytest.mark.parametrize(("name", "head", "mode"), CASES)
def test_the_graph_gives_the_logits_of_the_model_that_it_was_made_of(
    zoo: Zoo, name: str, head: str, mode: ModeName
) -> None:
    loaded, way = zoo.load(name, head), Mode(zoo.load(name, head), mode, TOKENS)
    reader = EmbeddingHead(loaded, LABEL_TEXTS, way.before) if head == "embedding" else WordsHead(loaded, LABELS)
    x, some = candidates(loaded, mode, 7), texts(name, head, mode)
    eager, graph = Engine(loaded, reader, way), Engine(loaded, reader, way, "openvino")
    # Random weights this large amplify rounding.
    np.testing.assert_allclose(graph.logits(x, some), eager.logits(x, some), rtol=0, atol=2e-5)
    assert np.array_equal(graph.logits(x, some), graph.logits(x, some))


def test_the_graph_holds_the_pooling_and_the_layers_of_a_sentence_encoder(zoo: Zoo) -> None:
    weight = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    sentence = Sentence("cls", (lambda x: torch.tanh(torch.nn.functional.linear(x, weight)),))
    loaded = replace(zoo.load("bert", "embedding"), sentence=sentence)
    way, x = Mode(loaded, "add", TOKENS), candidates(loaded, "add", 3)
    reader, some = EmbeddingHead(loaded, LABEL_TEXTS), texts("bert", "embedding", "add")
    eager, graph = Engine(loaded, reader, way), Engine(loaded, reader, way, "openvino")
    # The layer amplifies rounding once more.
    np.testing.assert_allclose(graph.logits(x, some), eager.logits(x, some), rtol=0, atol=1e-4)


def test_the_graph_binds_no_process_to_a_core(zoo: Zoo) -> None:
    """All workers of a sweep would share that core."""
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    loaded = zoo.load("bert", "masked")
    compiled = compile_graph(loaded, WordsHead(loaded, LABELS), Mode(loaded, "inputs_embeds", TOKENS))
    assert isinstance(compiled, openvino.CompiledModel)
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_what_the_graph_is_not_offered_for_is_refused(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    gpt2, bert = zoo.load("gpt2", "causal"), zoo.load("bert", "masked")
    for way in (Mode(gpt2, "add", TOKENS), Mode(bert, "deep", TOKENS)):
        model = gpt2 if way.name == "add" else bert
        with pytest.raises(InputError, match=r"head=masked of encoders, with mode=add, cat, inputs_embeds"):
            Engine(model, WordsHead(model, LABELS), way, "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"pip install 'dfo-bench\[openvino\]'"):
        Engine(bert, WordsHead(bert, LABELS), Mode(bert, "add", TOKENS), "openvino")
