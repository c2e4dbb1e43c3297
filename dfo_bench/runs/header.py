"""The header of a run, known before it ends: what names the run, and what it is made of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dfo_bench.core import Cost, Sees
from dfo_bench.runs.former import complete
from dfo_bench.runs.spec import RunSpec


@dataclass(frozen=True)
class PlannedRun:
    """What names a run."""

    key: str
    spec: RunSpec
    """Resolved: every default filled in."""
    shown: Mapping[str, str]
    """Its task, optimizer and projection as people write them, defaults left out."""
    checks: tuple[str, ...] = field(default=(), kw_only=True)
    """What was to be known of its task before it began, a line each."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` makes an equal one."""
        plain = {"key": self.key, "spec": self.spec.to_json(), "shown": dict(self.shown)}
        return plain | ({"checks": list(self.checks)} if self.checks else {})

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_json` made; raise KeyError, TypeError or ValueError for anything else."""
        return cls(**cls._fields(plain))

    @classmethod
    def _fields(cls, plain: Mapping[str, Any]) -> dict[str, Any]:
        key, shown = plain["key"], dict(plain["shown"])
        if not isinstance(key, str) or shown.keys() != {"task", "optimizer", "projection"}:
            raise ValueError(f"{key!r} and {shown!r} name no run")
        # The first plans and headers have no checks.
        checks = tuple(plain.get("checks", ()))
        spec, shown = complete(RunSpec.from_json(plain["spec"]), shown)
        return {"key": key, "spec": spec, "shown": shown, "checks": checks}


@dataclass(frozen=True)
class Header(PlannedRun):
    """The first line of a run's journal."""

    digests: Mapping[str, str]
    """The digest of each plugin's source, and of the files that its parameters name."""
    optimum: float | None
    metric: str
    """The metric by which dev selects, "" where there is none."""
    cost: Cost | None
    """What one evaluation costs; None of a run of another program, of which it is not known."""
    baseline: bool
    """Whether its optimizer only ever evaluates one point, so that nothing is searched."""
    sees: Sees
    """What its method is told."""
    unit: int = field(default=1, kw_only=True)
    """The parts in which an evaluation is counted: as many as there are examples, where its method chooses of these."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` makes an equal one."""
        return {
            **super().to_json(),
            "digests": dict(self.digests),
            "optimum": self.optimum,
            "metric": self.metric,
            "cost": asdict(self.cost) if self.cost else {},
            "baseline": self.baseline,
            "sees": self.sees,
            **({"unit": self.unit} if self.unit > 1 else {}),
        }

    @classmethod
    def _fields(cls, plain: Mapping[str, Any]) -> dict[str, Any]:
        named = super()._fields(plain)
        # The first headers do not say what is a baseline: there a budget of one evaluation was the rule. Nor do they
        # say what their optimizers see: there were none that see more than losses.
        return named | {
            "digests": dict(plain["digests"]),
            "optimum": plain["optimum"],
            "metric": plain["metric"],
            "cost": Cost(**plain["cost"]) if plain["cost"] else None,
            "baseline": plain.get("baseline", named["spec"].budget == 1),
            "sees": plain.get("sees", "losses"),
            # Most methods evaluate whole calls.
            "unit": plain.get("unit", 1),
        }
