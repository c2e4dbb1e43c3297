"""The scale of a service: how many replicas of the models there are to be, and what each takes of a node."""

import re
from dataclasses import dataclass
from typing import Any

from dfo_bench.errors import InputError


@dataclass(frozen=True)
class Scale:
    """From `least` to `most` replicas, as many as there is to do; most=0: as the cluster has room for at the start."""

    least: int = 1
    most: int = 0
    cpus: int = 1
    """The cores of each; it computes on as many threads."""
    gpus: float | None = None
    """The GPUs of each, or a part of one; None: one where the cluster has any."""

    def __post_init__(self) -> None:
        """Raise InputError where a replica cannot take so much."""
        if self.cpus < 1:
            raise InputError(f"a replica takes a core at least, got replica_cpus {self.cpus}; leave it out")
        if self.gpus is not None and (self.gpus < 0 or (self.gpus > 1 and self.gpus % 1)):
            raise InputError(f"a replica takes whole GPUs or a part of one, got replica_gpus {self.gpus}")

    @classmethod
    def parse(cls, replicas: str, cpus: int = 1, gpus: float | None = None) -> "Scale":
        """Read `2` or `1-8`, or nothing; raise InputError for anything else."""
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", replicas or "1-0")
        least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if least < 1 or (replicas and most < least):
            raise InputError(f"replicas {replicas!r}: write how many there are to be, 2, or how few and how many, 1-8")
        return cls(least, most, cpus, gpus)

    def fit(self, nodes: list[dict[str, Any]]) -> tuple["Scale", int]:
        """Return the same without anything open, and for how many replicas such nodes have room, as Ray has them."""
        resources = [node["Resources"] for node in nodes if node["Alive"]]
        gpus = self.gpus
        if gpus is None:
            gpus = float(any(one.get("GPU") for one in resources))
        wanted = {"CPU": self.cpus, "GPU": gpus}
        room = sum(min(int(one.get(name, 0) // much) for name, much in wanted.items() if much) for one in resources)
        return Scale(self.least, self.most or max(self.least, room), self.cpus, gpus), room
