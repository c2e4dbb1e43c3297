"""The answerer of a task's problem: the model in this process, a service of this package, or somebody else's engine."""

import os

from dfo_bench.errors import InputError
from dfo_bench.lm import models
from dfo_bench.lm.backends import Backend
from dfo_bench.lm.local import Local
from dfo_bench.lm.problem import Answerer, EngineName, Problem

SHARED = "DFO_BENCH_SHARED"
"""The variable of the environment with the URL of the service that a sweep has started for its text tasks."""


def shared() -> str:
    """Return the URL of the service that has the model of every task which names none; "" where none was started."""
    return os.environ.get(SHARED, "")


def answerer(problem: Problem, model: str, backend: Backend, service: str, engine: EngineName | None) -> Answerer:
    """Return what answers a problem: the model in this process, or what is at the URL `service`, "" for nothing."""
    if not service:
        if engine:
            raise InputError(f"engine={engine} needs the address at which it listens; pass service=http://HOST:PORT")
        return Local(models.load(model, problem.head, problem.precision), problem, backend)
    if engine and problem.groups:
        raise InputError(f"engine={engine} answers for one word per label, and words has several; write one each")
    try:
        from dfo_bench.lm import remote
    except ModuleNotFoundError as error:
        raise InputError(f"service={service} needs {error.name}; pip install 'dfo-bench[service]'") from error
    return remote.connect(problem, model, service, engine)
