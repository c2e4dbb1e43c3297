"""The assembly of a run: from its spec to task, embeddings and optimizer, and what its key rests on."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Unpack

import numpy as np
from typing_extensions import override

from dfo_bench.core import (
    Array,
    Cost,
    Embedding,
    EmbeddingGiven,
    EmbeddingOptimizer,
    ExampleOptimizer,
    Index,
    Make,
    Optimizer,
    Points,
    Projection,
    Reference,
    Sees,
    Space,
    Step,
    Task,
    VectorOptimizer,
)
from dfo_bench.embedding import Drawn
from dfo_bench.errors import InputError, RunError
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import AnyOptimizer, Method, Plugin, resolve, resolve_method
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS, TASKS
from dfo_bench.runs.columns import REFERENCE, meets
from dfo_bench.runs.defaults import DIM
from dfo_bench.runs.fitted import Fitted, Once, settle
from dfo_bench.runs.oracle import Oracle, oracle
from dfo_bench.runs.spec import RunSpec, streams
from dfo_bench.runs.step import ALPHA, AUTO, LEAST_BUDGET, Stepped
from dfo_bench.runs.titles import TITLE, check_title

_AT_A_TIME = ("batch", "popsize", "samples")
"""The parameters of optimizers that say how many points they ask for at a time."""

_LARGE_BATCH = 10_000
"""So many points may be asked for at a time though the budget be smaller; more would take memory for nothing."""


class InOneEmbedding(EmbeddingOptimizer):
    """A plain optimizer in the run's first embedding: the common case."""

    def __init__(self, space: Space, component: Component, **given: Unpack[EmbeddingGiven]) -> None:
        """`component` is the plain optimizer."""
        super().__init__(space, **given)
        self._embedding = self.embed(0)
        self._optimizer = self.make(component, self._embedding.search_space, self.budget, self.rng)

    def ask(self) -> Points:
        """Lift what the optimizer asks for."""
        self._x = self._optimizer.ask()
        return self._embedding.lift(self._x)

    def tell(self, losses: Array, *told: Array) -> None:
        """Tell the optimizer of its own points: losses, and what else it sees."""
        self._optimizer.tell(self._x, losses, *told)


class OnExamples(InOneEmbedding):
    """A plain optimizer that says on which examples its points are evaluated."""

    def ask(self) -> Points:
        """Lift what the optimizer asks for, and pass on on which examples."""
        self._x, examples = self._optimizer.ask()
        points = self._embedding.lift(self._x)
        points.examples = tuple(examples.tolist())
        return points


class Checked(Optimizer):
    """A plain optimizer whose asks are checked: what is wrong with them is said where it happens."""

    def __init__(self, inner: Optimizer, component: Component) -> None:
        super().__init__(inner.space, budget=inner.budget, rng=inner.rng)
        self.inner, self.component, self.events = inner, component, inner.events

    def ask(self) -> Array:
        """Return the optimizer's points; raise RunError unless they are (n, d) finite numbers, n at least 1."""
        return self._checked(self.inner.ask())

    def _checked(self, asked: Any) -> Array:
        x = np.asarray(asked)
        if x.ndim != 2 or x.shape[1] != self.space.dim or not len(x):
            raise RunError(f"{self.component}: ask returned shape {x.shape}; it must be (n, {self.space.dim})")
        if not np.isfinite(x).all():
            raise RunError(f"{self.component}: ask returned nan or inf")
        return x

    def tell(self, x: Array, losses: Array, *told: Array) -> None:
        """Pass the losses on, and what else it sees."""
        self.inner.tell(x, losses, *told)


class CheckedOnExamples(Checked):
    """Likewise, of an optimizer that chooses among `count` examples."""

    def __init__(self, inner: Optimizer, component: Component, count: int) -> None:
        super().__init__(inner, component)
        self.count = count

    @override
    def ask(self) -> tuple[Array, Index]:  # type: ignore[override]
        asked: Any = self.inner.ask()
        if not isinstance(asked, tuple) or len(asked) != 2:
            raise RunError(f"{self.component}: ask returned a {type(asked).__name__}; it must be points and examples")
        x, examples = self._checked(asked[0]), np.asarray(asked[1])
        if examples.dtype.kind not in "iu" or not np.isin(examples, np.arange(self.count)).all():
            raise RunError(f"{self.component}: ask returned the examples {examples}; there are 0 to {self.count - 1}")
        if examples.ndim != 1 or not len(examples) or len(np.unique(examples)) < len(examples):
            raise RunError(f"{self.component}: ask returned the examples {examples}; they must be different ones")
        return x, examples


@dataclass(frozen=True)
class Plugins:
    """The plugins of a run, resolved."""

    optimizer: Method
    task: Plugin[Task]
    projection: Plugin[Projection]


@dataclass(frozen=True)
class Assembly:
    """The parts of one run, built anew for every attempt."""

    spec: RunSpec
    """Complete: the components are those of the plugins, and no dimension is left open."""
    plugins: Plugins
    task: Task
    """That of a reference is `Fitted`."""
    projection: Projection

    @cached_property
    def key(self) -> str:
        """The digest that names the run."""
        return replace(
            self.spec,
            task=self.plugins.task.keyed(self.task.contents),
            optimizer=self.plugins.optimizer.keyed(),
            projection=self.plugins.projection.keyed(self.projection.contents),
        ).key()

    def embed(self, number: int) -> Embedding:
        """Draw embedding `number` of the run: the same for every optimizer of a seed."""
        embedding = self.projection.draw(self.task.space, self.dim, self.spec.seed, number)
        if not self.projection.contents:
            written = self.plugins.projection.component
            kept = {name: value for name, value in written.params.items() if name not in Step.__annotations__}
            embedding.drawn = Drawn(str(Component(written.name, kept)), self.spec.seed)
        return embedding

    @property
    def dim(self) -> int:
        """The dimension to search in."""
        assert self.spec.dim is not None
        return self.spec.dim

    @property
    def baseline(self) -> bool:
        """Whether the optimizer only ever evaluates one point, so that nothing is searched."""
        return self.plugins.optimizer.cls.evaluations == 1

    @property
    def sees(self) -> Sees:
        """What the optimizer is told of its points: no outputs where the task has none."""
        cls = self.plugins.optimizer.cls
        blind = issubclass(cls, EmbeddingOptimizer) and cls.sees == "outputs" and self.task.no_outputs
        return "losses" if blind else cls.sees

    @property
    def unit(self) -> int:
        """In how many parts an evaluation is counted: the examples, where the optimizer chooses of them."""
        outer = self.task.outer if issubclass(self.plugins.optimizer.cls, ExampleOptimizer) else None
        return outer.shape[0] if outer else 1

    @cached_property
    def oracle(self) -> Oracle:
        """What evaluates the points and tells the optimizer as much as it sees."""
        return oracle(self.sees, self.task, self.dim, self.unit)

    @property
    def cost(self) -> Cost:
        """What one evaluation costs: the task's own, and z as four bytes a dimension where anything goes up at all."""
        cost = self.task.cost
        return replace(cost, bytes_up_z=cost.bytes_up_z + 4 * self.dim) if cost.bytes_up_z else cost

    def optimizer(self) -> EmbeddingOptimizer:
        """Build the optimizer, behind the search for its step where that has to be found."""
        events: list[str] = []
        if not _is_auto(self.plugins.projection):
            return self.search(1.0, self.spec.budget, events)
        found = Stepped(
            self.task.space,
            lambda step, budget: self.search(step, budget, events),
            dim=self.dim,
            budget=self.spec.budget,
            rng=streams(self.spec.seed)("step"),
            told=self.sees,
            embed=self.embed,
            make=self._make(events),
        )
        found.events = events
        return found

    def search(self, step: float, budget: int, events: list[str]) -> EmbeddingOptimizer:
        """Build the optimizer with a step and a budget; it and the optimizers that it makes share the events."""

        def embed(number: int) -> Embedding:
            embedding = self.embed(number)
            embedding.stretch = step
            return embedding

        plugin = self.plugins.optimizer
        given = EmbeddingGiven(
            dim=self.dim,
            budget=budget,
            rng=streams(self.spec.seed)("optimizer"),
            told=self.sees,
            embed=embed,
            make=self._make(events),
        )
        if issubclass(plugin.cls, Reference):
            outermost: Any = Once(self.task.space, **given)
        elif issubclass(plugin.cls, Optimizer):
            kind = OnExamples if issubclass(plugin.cls, ExampleOptimizer) else InOneEmbedding
            outermost = kind(self.task.space, plugin.component, **given)
        else:
            outermost = plugin.construct(self.task.space, **given)
        assert isinstance(outermost, EmbeddingOptimizer)
        events.extend(outermost.events)
        outermost.events = events
        return outermost

    def _make(self, events: list[str]) -> Make:
        """Return what makes inner optimizers, which share the events."""
        plugin = self.plugins.optimizer
        known = {inner.component: inner for inner in (plugin, *plugin.all_inner())}

        def make(component: Component, space: Space, budget: int, rng: np.random.Generator) -> Optimizer:
            inner = known.get(component) or resolve(OPTIMIZERS, component)
            if not issubclass(inner.cls, Optimizer):
                raise InputError(f"{component.name} draws its own embeddings and cannot stand inside another")
            if inner.cls.sees != self.sees:
                raise InputError(
                    f"{component.name} sees {inner.cls.sees} and cannot stand inside {plugin.name}, which is told "
                    f"{self.sees}; run it by itself: -o {component.name}"
                )
            if issubclass(inner.cls, ExampleOptimizer) and inner is not plugin:
                raise InputError(
                    f"{component.name} chooses examples and cannot stand inside {plugin.name}; run it by itself: "
                    f"-o {component.name}"
                )
            built = self.build(inner, space, budget, rng, make)
            events.extend(built.events)
            built.events = events
            chooses = issubclass(inner.cls, ExampleOptimizer)
            return CheckedOnExamples(built, component, self.unit) if chooses else Checked(built, component)

        return make

    def build(
        self, plugin: AnyOptimizer, space: Space, budget: int, rng: np.random.Generator, make: Make | None = None
    ) -> Optimizer:
        """Build a plain optimizer with what it sees of the task, and `make` for what stands inside it."""
        for name in _AT_A_TIME:
            size = plugin.component.params.get(name)
            if isinstance(size, int) and size > max(budget, _LARGE_BATCH):
                raise InputError(
                    f"{plugin.name}:{name}={size} is more than the {budget} evaluations that {plugin.name} has: no "
                    "batch would be whole; take a smaller one, or a larger budget"
                )
        more: dict[str, Any] = {}
        if issubclass(plugin.cls, VectorOptimizer):
            more = {"outer": self.task.outer}
        elif issubclass(plugin.cls, ExampleOptimizer):
            more = {"examples": self.unit, "make": make or self._make([])}
        built = plugin.construct(space, budget=budget, rng=rng, **more)
        assert isinstance(built, Optimizer)
        return built

    @cached_property
    def source_digests(self) -> dict[str, str]:
        """The digest of each plugin's source, and of the contents of the files that parameters name."""
        sources = {kind: plugin.source_digest() for kind, plugin in vars(self.plugins).items()}
        sources |= {f"inner {plugin.name}": plugin.source_digest() for plugin in self.plugins.optimizer.all_inner()}
        contents = {"task": self.task.contents, "projection": self.projection.contents}
        files = {f"{kind}:{name}": digest for kind, named in contents.items() for name, digest in named.items()}
        return {**sources, **files}

    def shown(self) -> dict[str, str]:
        """Return the components as people write them, defaults left out."""
        shown = {kind: str(plugin.shown()) for kind, plugin in vars(self.plugins).items()}
        return shown | {"projection": REFERENCE} if isinstance(self.task, Fitted) else shown


def assemble(spec: RunSpec, task: Task | None = None) -> Assembly:
    """Build the parts of a run; raise InputError for what cannot be built.

    `task` is that of another assembly of the same task and seed: building one may mean loading a model.
    """
    spec = settle(spec)
    plugins = Plugins(
        optimizer=resolve_method(spec.optimizer),
        task=resolve(TASKS, spec.task),
        projection=resolve(PROJECTIONS, spec.projection),
    )
    check_title(str(plugins.task.component.params[TITLE]))
    if task is None:
        task = plugins.task.construct(rngs=streams(spec.seed))
    elif isinstance(task, Fitted):
        task = task.inner
    if column := meets(task.metric):
        raise InputError(
            f"task {spec.task} selects by the metric {task.metric!r}, whose column {column} is taken; rename it"
        )
    budget = spendable(plugins.optimizer, spec.budget)
    of_letters = getattr(plugins.optimizer.cls, "of_letters", False)
    stepless = of_letters and task.space.letters and plugins.projection.cls.whole
    finds = task.finds_step and budget >= LEAST_BUDGET and not stepless
    if plugins.projection.defaults.get(ALPHA) == AUTO and not finds:
        plugins = replace(plugins, projection=plugins.projection.settle(ALPHA, 1.0))
    projection = plugins.projection.construct()
    _refuse_blind(spec, plugins.optimizer, task)
    components = {kind: plugin.component for kind, plugin in vars(plugins).items()}
    dim = _dim(spec, task, projection, plugins.optimizer)
    method = plugins.optimizer
    if issubclass(method.cls, Reference):
        task = Fitted(task, method.name, lambda: _reference(method, spec.seed))
    return Assembly(replace(spec, **components, dim=dim, budget=budget), plugins, task, projection)


def _is_auto(projection: Plugin[Projection]) -> bool:
    return projection.component.params.get(ALPHA) == AUTO


def _refuse_blind(spec: RunSpec, optimizer: Method, task: Task) -> None:
    """Raise InputError where the task cannot tell what the optimizer sees; a reference asks for it by itself."""
    cls = optimizer.cls
    if cls.sees == "gradients" and (reason := task.no_gradients):
        raise InputError(f"optimizer {spec.optimizer} sees gradients, and task {spec.task} has none; {reason}")
    if issubclass(cls, ExampleOptimizer) and (reason := task.no_examples):
        raise InputError(
            f"optimizer {spec.optimizer} evaluates points on some examples, and task {spec.task} is only had whole: "
            f"{reason}. Tasks that can be evaluated on some are {_composite()}"
        )
    if issubclass(cls, VectorOptimizer) and (reason := task.no_outputs):
        scalar = f"; or use -o {cls.scalar}, which sees losses only" if cls.scalar else ""
        raise InputError(
            f"optimizer {spec.optimizer} sees outputs, and task {spec.task} has none: {reason}. Tasks with outputs are "
            f"{_composite()}{scalar}"
        )


def _composite() -> str:
    """Name the tasks that have outputs, and so a loss that is made of some."""
    return ", ".join(name for name in TASKS.sources() if TASKS.load(name).outputs is not Task.outputs)


def _reference(plugin: Method, seed: int) -> Reference:
    built = plugin.construct(rng=streams(seed)("reference"))
    assert isinstance(built, Reference)
    return built


def spendable(optimizer: Method, budget: int) -> int:
    """Return the budget, or what the optimizer ever asks for where that is less."""
    return min(budget, optimizer.cls.evaluations or budget)


def _dim(spec: RunSpec, task: Task, projection: Projection, optimizer: Method) -> int:
    """Return the dimension to search in."""
    whole = int(task.space.dim)
    if not whole and optimizer.cls.evaluations != 1:
        raise InputError(
            f"task {spec.task} has dimension 0, nothing to search; use an optimizer of one evaluation such as start, "
            "or prompt_tokens of at least 1"
        )
    if projection.whole or not whole:
        return whole
    dim = min(DIM, whole) if spec.dim is None else spec.dim
    if dim < 1:
        raise InputError(f"dim must be at least 1, got {dim}")
    if dim > whole:
        raise InputError(f"dim {dim} is above the {whole} of task {spec.task}; use -d {whole} or less")
    return dim
