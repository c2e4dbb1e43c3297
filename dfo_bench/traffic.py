"""Traffic: what a task that asks a service really sends."""

from dataclasses import dataclass


@dataclass
class Traffic:
    """The bytes that went up to a service, and came down, so far: those of bodies, headers apart."""

    up: int = 0
    down: int = 0
