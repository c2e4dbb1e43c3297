"""Every exception dfo-bench raises on purpose.

DfoBenchError
├── InputError (ValueError)     what the user asked for cannot be done; the command line exits with 2
│   ├── UnknownNameError        no such optimizer, task, projection, parameter...; names the nearest
│   ├── PluginError             a plugin that does not import, or holds no or two classes
│   ├── UnfitError              a reference that cannot be had on this task
│   └── StoreError              a folder that is not a store, cannot be written, or does not match
├── RunError                    this run cannot go on; the sweep does, the run is kept as failed
├── ReplayError                 a journal that its own optimizer does not reproduce
├── Unavailable                 a task's service gives no answer for now: it is asked again, then the run is interrupted
└── BusyError                   another process is writing this run
"""

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class DfoBenchError(Exception):
    """Base of all errors that dfo-bench raises on purpose."""


class InputError(DfoBenchError, ValueError):
    """Wrong input: the message is one line with the value and the remedy."""


class UnknownNameError(InputError):
    """A name that is not known, with the nearest ones that are."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        """Name `what` there is none of: "optimizer", "parameter of cma"..."""
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            remedy = f"did you mean {' or '.join(near)}?"
        elif names:
            more = f" and {len(names) - 50} more" if len(names) > 50 else ""
            remedy = f"there are: {', '.join(names[:50])}{more}"
        else:
            remedy = "there are none"
        super().__init__(f"no {what} named {name!r}; {remedy}")


class PluginError(InputError):
    """A plugin that cannot be used; the message names its file."""


class UnfitError(InputError):
    """A reference that its task's texts or model do not allow; the message says why."""


class StoreError(InputError):
    """A folder that cannot serve as the store it was named as."""


class RunError(DfoBenchError):
    """The run cannot go on and is recorded as failed with this message."""


class ReplayError(DfoBenchError):
    """The optimizer, asked again, does not propose the points of its journal."""


class Unavailable(DfoBenchError):  # noqa: N818 - the state of a service, as a plugin raises it
    """A task's service is down or has reached a limit: nothing is wrong with the points, and nothing was answered."""


class BusyError(DfoBenchError):
    """Another process holds this run's journal."""


_REMEDY = "free space and run again"


@contextmanager
def writing(path: Path, remedy: str = _REMEDY) -> Iterator[None]:
    """Turn the OSError of a file that cannot be written into a StoreError with the path and the remedy."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error, remedy) from error


def unwritable(path: Path, error: OSError, remedy: str = _REMEDY) -> StoreError:
    """Return the error of a file that cannot be written, with the path and the remedy."""
    # Arrow's errors have no strerror.
    return StoreError(f"{error.filename or path} cannot be written: {error.strerror or error}; {remedy}")


def say(error: BaseException) -> str:
    """Return an exception's type and words; where it has none, as a bare assert, the place that raised it."""
    if str(error).strip():
        return f"{type(error).__name__}: {error}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        place = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
        return f"{place}: {frame.line}" if frame.line else place
    return type(error).__name__


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 run, 2 runs."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def cause(error: BaseException) -> str:
    """Say what an exception out of other people's code comes to: a module that is missing, or its own words."""
    if missing := re.search(r"No module named '([\w.]+)'", str(error)):
        return f"it needs the Python module {missing[1]}, which is not installed; install it or take another method"
    return say(error)
