"""The choice of a backend, from timings that are given."""

import logging
import sys
from collections.abc import Callable

import pytest
import torch

from dfo_bench.lm import backends
from dfo_bench.lm.backends import fastest, offered
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.modes import Mode, ModeName
from tests.test_lm_engine import LABELS, TOKENS, texts
from tests.tiny_lm import Zoo

MANY = 10**9


class Timings:
    """Gives each backend its seconds, one after the other, the last one again and again; runs what it times."""

    def __init__(self, **seconds: float | list[float]) -> None:
        self._seconds = {name: value if isinstance(value, list) else [value] for name, value in seconds.items()}
        self.asked: list[str] = []

    def __call__(self, backend: str, compute: Callable[[], object]) -> float:
        compute()
        self.asked.append(backend)
        left = self._seconds[backend]
        return left.pop(0) if len(left) > 1 else left[0]


def choose(zoo: Zoo, timings: Timings, name: str = "bert", mode: ModeName = "add", evaluations: int = MANY) -> str:
    head = "masked" if name == "bert" else "causal"
    loaded = zoo.load(name, head)
    way = Mode(loaded, mode, TOKENS)
    return fastest(loaded, WordsHead(loaded, LABELS), way, texts(name, head, mode), evaluations, timings)[0]


@pytest.fixture
def avx512(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    backends._recommend_openvino.cache_clear()


def test_the_fastest_backend_is_chosen_by_the_least_of_its_seconds(zoo: Zoo) -> None:
    assert choose(zoo, Timings(torch=2.0, onednn=1.5, openvino=1.0)) == "openvino"
    assert choose(zoo, Timings(torch=2.0, onednn=1.0, openvino=1.5)) == "onednn"
    assert choose(zoo, Timings(torch=1.0, onednn=1.5, openvino=1.5)) == "torch"
    assert choose(zoo, Timings(torch=2.0, onednn=[9.0, 1.0, 9.0], openvino=[1.5, 9.0])) == "onednn"


def test_torch_stays_where_another_backend_is_hardly_faster(zoo: Zoo) -> None:
    assert choose(zoo, Timings(torch=1.04, onednn=1.0, openvino=1.0)) == "torch"
    assert choose(zoo, Timings(torch=1.06, onednn=1.0, openvino=1.0)) == "onednn"


def test_backends_are_measured_in_turn(zoo: Zoo) -> None:
    timings = Timings(torch=1.0, onednn=1.0, openvino=1.0)
    choose(zoo, timings)
    assert timings.asked == ["torch"] * 2 + ["torch", "onednn", "openvino"] * 3


def test_nothing_is_measured_for_what_torch_does_within_a_minute(zoo: Zoo) -> None:
    timings = Timings(torch=1e-6, onednn=1e-9, openvino=1e-9)
    assert choose(zoo, timings, evaluations=12) == "torch"
    assert timings.asked == ["torch"] * 2


def test_a_backend_is_offered_where_it_computes(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    bert, half = zoo.load("bert", "masked"), zoo.load("bert", "masked", "bfloat16")
    gpt2 = zoo.load("gpt2", "causal")
    assert offered(bert, Mode(bert, "add", TOKENS)) == ["torch", "onednn", "openvino"]
    assert offered(bert, Mode(bert, "deep", TOKENS)) == ["torch", "onednn"]
    assert offered(gpt2, Mode(gpt2, "cat", TOKENS)) == ["torch", "onednn"]
    assert offered(half, Mode(half, "add", TOKENS)) == ["torch"]
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert offered(bert, Mode(bert, "add", TOKENS)) == ["torch", "onednn"]


@pytest.mark.parametrize(
    ("name", "mode"), [("bert", "inputs_embeds"), ("gpt2", "inputs_embeds"), ("gpt2", "after"), ("gpt2", "prefix")]
)
def test_the_seconds_of_a_call_are_those_of_the_rows_that_it_computes(zoo: Zoo, name: str, mode: ModeName) -> None:
    head = "masked" if name == "bert" else "causal"
    loaded = zoo.load(name, head)
    way, some = Mode(loaded, mode, TOKENS), texts(name, head, mode, shared=40)
    engine = Engine(loaded, WordsHead(loaded, LABELS), way)
    lengths = [len(text.ids) - (text.end if mode == "after" else 0) for text in some]
    rows = sum(lengths) + TOKENS * len(some)
    if name == "gpt2" and mode != "after":
        # The prompt and what all texts begin with are computed once; a prefix is keys and values already.
        rows = (0 if mode == "prefix" else TOKENS) + 40 + sum(length - 40 for length in lengths)
    assert engine.rows_of(some) == rows
    middle = sorted(some, key=lambda text: len(text.ids))[len(some) // 2]
    seconds = backends.call_seconds(engine, way, some, lambda compute: 1.0)
    assert seconds == pytest.approx(rows / (backends.ROWS * engine.rows_of([middle])))


def test_a_decoder_is_computed_by_the_fastest_too(zoo: Zoo) -> None:
    assert choose(zoo, Timings(torch=2.0, onednn=1.0), "gpt2", "inputs_embeds") == "onednn"


@pytest.mark.usefixtures("avx512")
def test_what_openvino_would_bring_is_said_once_where_it_would(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    timings = Timings(torch=1.0, onednn=1.0, openvino=1.0)
    choose(zoo, timings)
    monkeypatch.setitem(sys.modules, "openvino", None)
    choose(zoo, timings, "gpt2")
    choose(zoo, timings, mode="deep")
    choose(zoo, Timings(torch=1e-6), evaluations=12)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        choose(zoo, timings)
        choose(zoo, timings)
    (record,) = caplog.records
    assert "pip install 'dfo-bench[openvino]'" in record.getMessage()
