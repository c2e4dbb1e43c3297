"""The finished runs of text tasks, and whether what they were made of is still there.

The room of stores knows such tasks here and in `classifier` alone; they are imported when they are used.
"""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.columns import REFERENCE
from dfo_bench.runs.loop import changes
from dfo_bench.runs.measure import best_on_dev
from dfo_bench.runs.rebuild import rebuild
from dfo_bench.runs.spec import RunSpec, describe
from dfo_bench.runs.summary import Summary
from dfo_bench.runs.titles import TITLE
from dfo_bench.store.store import Store

if TYPE_CHECKING:
    from dfo_bench.core import Points
    from dfo_bench.lm import TextTask

BEST = "best"
"""What stands for the best search: of a text task by dev, of another by its loss."""

_logger = logging.getLogger("dfo_bench")


@dataclass(frozen=True)
class TextRun:
    """A finished run of a text task."""

    summary: Summary
    task: str
    """Its task as people write it, defaults left out."""
    bare: str
    """The task without its prompt, which references have."""

    @property
    def spec(self) -> RunSpec:
        """Its spec, with torch as the backend: what computed it need not be here."""
        return on_torch(self.summary.spec)

    @property
    def reference(self) -> bool:
        """Whether it is that of a reference, which searches no prompt."""
        return self.summary.shown["projection"] == REFERENCE

    @cached_property
    def dev(self) -> float:
        """The score on dev of the point that was selected, by the task's metric; -inf where there is none."""
        return best_on_dev(self.summary.measurements, self.summary.metric).get(self.summary.metric, -float("inf"))

    def loss(self, store: Store) -> float:
        """Return the train loss of the point that was selected."""
        assert self.summary.selected
        losses = store.curves([self.summary.key])["loss"]
        return float(losses.iloc[self.summary.selected.evaluation - 1])

    def describe(self) -> str:
        """Return its key, what it is, and its scores on dev and test."""
        metric = self.summary.metric
        scores = {m.split: m.metrics[metric] for m in self.summary.measurements if metric in m.metrics}
        if "dev" in scores:
            scores["dev"] = self.dev
        said = ", ".join(f"{split} {metric} {value:.4g}" for split, value in scores.items())
        name = describe({**self.summary.shown, "seed": self.spec.seed})
        return f"{self.summary.key} ({name}; {said or 'no scores'})"


def name_task(component: Component) -> str:
    """Return a task as people write it, defaults and its title left out: two titles are no two tasks."""
    shown = resolve(TASKS, component).shown()
    return str(Component(shown.name, {name: value for name, value in shown.params.items() if name != TITLE}))


def find_text_runs(store: Store) -> list[TextRun]:
    """Return the finished runs of text tasks that selected a point, by their keys.

    A run that cannot be read, or whose task is not known here, is left out, and a warning names it.
    """
    found = []
    for key in store:
        try:
            if (summary := store.summary(key)) and (run := _text_run(summary)):
                found.append(run)
        except InputError as error:
            _logger.warning("run %s is left out: %s", key, error)
    return found


def _text_run(summary: Summary) -> TextRun | None:
    from dfo_bench.lm import TextTask

    # An imported run has selected nothing, and the name of its task need not be a component's.
    if summary.status != "finished" or not summary.selected:
        return None
    if not issubclass(TASKS.load(summary.spec.task.name), TextTask):
        return None
    task = on_torch(summary.spec).task
    return TextRun(summary, name_task(task), name_task(task.replace(**TextTask.bare)))


def read_prompt(run: TextRun) -> "tuple[TextTask, Points]":
    """Return a search's task and the point that it selected; raise InputError where they cannot be built again."""
    from dfo_bench.lm import TextTask

    assembly = assemble(run.spec)
    find_differences(assembly, run.summary, "show another run")
    assert isinstance(assembly.task, TextTask)
    assert run.summary.selected
    return assembly.task, rebuild(run.summary.selected.recipe, assembly.task.space, assembly.embed)


def on_torch(spec: RunSpec) -> RunSpec:
    """Return a run with torch as the backend of its task, which changes no key."""
    return spec.on("torch") if spec.backend else spec


def without_service(spec: RunSpec) -> RunSpec:
    """Return a run whose model is to be in this process, whatever answered it then; that changes no key."""
    return replace(spec, task=spec.task.replace(service="")) if spec.task.params.get("service") else spec


def find_differences(assembly: Assembly, summary: Summary, remedy: str) -> list[str]:
    """Return which plugins, of those a prompt rests on, have changed.

    Raise InputError if the files they read have; `remedy` says what else to do than to put them back.
    """
    other = changes(assembly, summary)
    for kind in ("task", "projection"):
        if files := [name.removeprefix(f"{kind}:") for name in other if name.startswith(f"{kind}:")]:
            raise InputError(
                f"run {summary.key} used another {' and '.join(files)} than {summary.shown[kind]} names now; put "
                f"it back, or {remedy}"
            )
    plugins = [f"{name} {getattr(assembly.spec, name).name}" for name in ("task", "projection") if name in other]
    return [f"run {summary.key} was made by another version of {' and '.join(plugins)}"] if plugins else []
