"""A text task whose model is behind a service: what goes over the wire, and who asks."""

from dfo_bench.lm import models
from dfo_bench.lm.problem import Answerer, EngineName, Problem
from dfo_bench.lm.remote.engines.openai import OpenAI
from dfo_bench.lm.remote.engines.served import Served
from dfo_bench.lm.remote.engines.sglang import SGLang
from dfo_bench.lm.remote.engines.vllm import VLLM
from dfo_bench.lm.remote.remote import Remote

__all__ = ["connect"]


def connect(problem: Problem, model: str, url: str, engine: EngineName | None) -> Answerer:
    """Return what asks a service of this package, or an engine, at a URL."""
    if engine is None:
        return Remote(url, model, problem)
    if engine == "openai":
        return OpenAI(url, model, problem)
    kind = {"vllm": VLLM, "sglang": SGLang}[engine]
    # What cannot be asked of it is said before a model is loaded.
    Served.check(problem, engine)
    return Served(kind(url, model), models.load(model, problem.head, problem.precision), problem)
