"""Keys: who may ask, how much a minute, and how many calls at once."""

import hashlib
import hmac
import math
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dfo_bench.errors import InputError

MINUTE_S = 60.0


class Limits(BaseModel):
    """What a key may ask for; None is without a limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: int | None = Field(default=None, ge=1)
    """A minute; so are `examples` and `tokens`."""
    examples: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    """Calls that are under way."""


class _Written(Limits):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class LimitError(Exception):
    """A limit is reached; `after` is the seconds until it is worth asking again."""

    def __init__(self, reason: str, after: float) -> None:
        super().__init__(reason)
        self.after = after


class Holder:
    """Whoever has a key."""

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.limits, self._clock = name, limits, clock
        self.under_way = 0
        kinds = ("requests", "examples", "tokens")
        self._left = {kind: float(most) for kind in kinds if (most := getattr(limits, kind)) is not None}
        self._at = clock()

    def spend(self, **amounts: int) -> None:
        """Take so much of what is left; raise LimitError where less is.

        What is left grows evenly up to a minute's worth. A call that is larger than that takes all, and the lack is
        made good before the next.
        """
        now = self._clock()
        mine = {kind: (amount, getattr(self.limits, kind)) for kind, amount in amounts.items() if kind in self._left}
        for kind in self._left:
            most = getattr(self.limits, kind)
            self._left[kind] = min(most, self._left[kind] + most * (now - self._at) / MINUTE_S)
        self._at = now
        for kind, (amount, most) in mine.items():
            lack = min(amount, most) - self._left[kind]
            if lack > 0:
                after = max(1.0, math.ceil(lack * MINUTE_S / most))
                raise LimitError(f"the limit of {most} {kind} a minute is reached", after)
        for kind, (amount, _) in mine.items():
            self._left[kind] -= amount

    def begin(self) -> None:
        """Count a call as under way; raise LimitError where as many are as may be."""
        if self.limits.concurrency is not None and self.under_way >= self.limits.concurrency:
            raise LimitError(f"{self.limits.concurrency} calls are under way, no more may be", 1.0)
        self.under_way += 1

    def end(self) -> None:
        """Count it no more."""
        self.under_way -= 1


class Keys:
    """The holders of keys, found by the key; only the digests of keys are known."""

    def __init__(self, written: Mapping[str, _Written]) -> None:
        self._known = [(bytes.fromhex(one.sha256), Holder(name, one)) for name, one in written.items()]

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Read a TOML file with a table per key, its name as the title: `sha256`, and limits."""
        try:
            plain = tomllib.loads(path.read_text(encoding="utf-8"))
            found = TypeAdapter(dict[str, _Written]).validate_python(plain)
        except OSError as error:
            raise InputError(f"--key-file {path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"--key-file {path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except ValueError as error:
            raise InputError(f"--key-file {path} is no TOML: {error}") from error
        if not found:
            raise InputError(f'--key-file {path} holds no key; write [NAME] and sha256 = "..." for each')
        return cls(found)

    def holder(self, key: str) -> Holder | None:
        """Return whose key this is; it takes as long whether there is one or none."""
        digest = hashlib.sha256(key.encode()).digest()
        fitting = [holder for known, holder in self._known if hmac.compare_digest(known, digest)]
        return fitting[0] if fitting else None


class Anyone(Keys):
    """The one holder there is without a file of keys, who needs none."""

    def __init__(self) -> None:
        self._holder = Holder("local", Limits())

    def holder(self, key: str) -> Holder:
        """Return it."""
        return self._holder


LOOPBACK: Sequence[str] = ("127.0.0.1", "::1", "localhost")
"""The hosts that are served without keys."""
