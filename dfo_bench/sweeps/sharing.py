"""One copy of the models for all workers of a sweep: a service of its own, which they ask in the place of their own."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component, component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS, method_kind
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.workers import die_with_parent

_logger = logging.getLogger("dfo_bench")

_READY = "serving at "


@contextmanager
def sharing(request: SweepRequest) -> Iterator[None]:
    """Have the text tasks of a sweep answered by a service on this machine, where `share_model` asks for it.

    Its address stands in the environment, where the tasks of this process and of its workers find it, and in no store:
    what is kept of a run is what is kept of one whose model is in its process. Raise InputError where no model can be
    shared, or the service does not start.
    """
    if not request.share_model:
        yield
        return
    from dfo_bench.lm.asked import SHARED

    for method in map(component, request.optimizers):
        sees = method_kind(method.name).load(method.name).sees
        if sees in ("gradients", "weights"):
            raise InputError(f"{method.name} sees {sees}, which no service gives; leave it out, or share_model")
    names = _models([component(one) for one in request.tasks])
    with _service(names) as url:
        os.environ[SHARED] = url
        try:
            yield
        except InputError as error:
            # Nobody wrote service=...
            told = str(error)
            if "leave out service=..." not in told:
                raise
            raise InputError(told.replace("leave out service=...", "leave out share_model")) from error
        finally:
            del os.environ[SHARED]


def _models(tasks: Sequence[Component]) -> list[str]:
    """Return the models that text tasks name, each once, as they are written."""
    from dfo_bench.lm import models

    found: dict[tuple[str, Path], str] = {}
    for task in tasks:
        params = resolve(TASKS, task).component.params
        if not {"model", "service", "engine"} <= params.keys():
            continue
        if taken := [name for name in ("service", "engine") if params[name]]:
            raise InputError(
                f"share_model serves the models of a sweep itself, and task {task} has {taken[0]}={params[taken[0]]}; "
                f"leave out {taken[0]}=, or share_model"
            )
        model = str(params["model"]) or models.DEFAULT
        found.setdefault((PurePath(model).name, models.find(model)), model)
    if not found:
        raise InputError(
            f"share_model is for text tasks, and the sweep has none among {', '.join(map(str, tasks))}; leave it out"
        )
    return list(found.values())


@contextmanager
def _service(models: Sequence[str]) -> Iterator[str]:
    """Serve models from a process of its own, which ends with this block and with this process; yield its address."""
    with tempfile.TemporaryDirectory(prefix="dfo-bench-shared-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "dfo_bench", "serve", *models, "--port", "0", "--book", str(Path(folder) / "book")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the sweep, which ends it.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        assert process.stdout
        assert process.stderr
        said: deque[str] = deque(maxlen=1)
        ready, ended = "", False

        def listen() -> None:
            assert process.stderr
            said.extend(process.stderr)
            if ready and not ended:
                code = process.wait()
                _logger.warning(
                    "the service of the shared model ended with exit code %s; stop the sweep, and run it again", code
                )

        reader = threading.Thread(target=listen, daemon=True)
        reader.start()
        try:
            ready = next((line for line in process.stdout if line.startswith(_READY)), "")
            if not ready:
                reader.join()
                code, last = process.wait(), "".join(said).strip().removeprefix("dfo-bench: ")
                raise InputError(f"share_model: the service ended with exit code {code}: {last}")
            yield ready.removeprefix(_READY).strip()
        finally:
            ended = True
            # What it computes now nobody waits for.
            process.kill()
            process.wait()
            reader.join()
            process.stdout.close()
            process.stderr.close()
