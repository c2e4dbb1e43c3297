"""A text task whose model is behind a service: what goes over the wire, and who asks."""

from dfo_bench.lm.remote.remote import Remote

__all__ = ["Remote"]
