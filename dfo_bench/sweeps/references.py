"""The references that run beside the optimizers of a sweep: those that take seconds, on every task of texts."""

from collections.abc import Sequence

from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import REFERENCES, TASKS


def beside(tasks: Sequence[Component]) -> list[tuple[Component, Component]]:
    """Return each task of texts with each reference that is cheap, and whose label words its head has."""
    texts = [task for task in tasks if TASKS.load(task.name).bare]
    if not texts:
        return []
    classes = {name: REFERENCES.load(name) for name in REFERENCES.names()}
    return [
        (task, Component(name))
        for task in texts
        for name, cls in classes.items()
        if cls.cheap and not (cls.words and resolve(TASKS, task).component.params.get("head") == "embedding")
    ]
