"""The base of all plugin classes: what each may say of its parameters."""

from collections.abc import Mapping
from typing import ClassVar

from dfo_bench.plugins.component import Value


class Plugged:
    """What every plugin class may say of its parameters; its subclasses inherit it and may say more."""

    added: ClassVar[Mapping[str, Value]] = {}
    """Parameters that came later, each with the value that gives the former behaviour.

    At that value a run has the key that it had before: finished runs stay, and are not run again.
    """
    unkeyed: ClassVar[Mapping[str, Value]] = {}
    """Parameters that change no result, each with the value that stands for it in every key, whatever it is.

    One that came later stands in `added`, too, with the same value: then it is in no key at all.
    """
